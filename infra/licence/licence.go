// Package licence tells under which licence a module may be used.
//
// The idea: a licence is known by words that stand in its text, and only those
// that may be in the product are known. It never guesses: what it does not know,
// and a module with one known licence beside an unknown one, has none.
package licence

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrUnknown means that a licence is none of Apache, MIT, BSD, ISC, MPL.
var ErrUnknown = errors.New("it is none of Apache, MIT, BSD, ISC, MPL")

// Of names the licence of a text by its SPDX id, or nothing.
func Of(text string) string {
	text = strings.ReplaceAll(strings.ToLower(text), "mozilla public license, version", "mozilla public license version")
	text = strings.Join(strings.Fields(text), " ")
	for _, known := range [...][2]string{
		{"Apache-2.0", "apache license version 2.0, january 2004"},
		{"BSD-3-Clause", "endorse or promote products derived from this software without"},
		{"BSD-2-Clause", "redistribution and use in source and binary forms, with or without modification, are permitted provided"},
		{"ISC", "permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted"},
		{"MIT", "permission is hereby granted, free of charge, to any person obtaining a copy of this software"},
		{"MPL-2.0", "mozilla public license version 2.0"},
	} {
		if strings.Contains(text, known[1]) {
			return known[0]
		}
	}
	return ""
}

// Files lists the licence files of a module.
func Files(dir string) (files []string, err error) {
	for _, pattern := range []string{"LICEN[CS]E*", "COPYING*", "licen[cs]e*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, fmt.Errorf("look for licence files: %w", err)
		}
		for _, file := range found {
			// aws-lambda-go: says which of its licence files covers what
			if !strings.HasSuffix(file, "-SUMMARY") {
				files = append(files, file)
			}
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// OfModule names the licences of a module, by each of its licence files: one
// unknown refuses it.
func OfModule(dir string) (ids []string, err error) {
	files, err := Files(dir)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read a licence file: %w", err)
		}
		id := Of(string(text))
		if id == "" {
			return nil, fmt.Errorf("%s: %w", filepath.Base(file), ErrUnknown)
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, errors.New("it has no licence file")
	}
	return ids, nil
}
