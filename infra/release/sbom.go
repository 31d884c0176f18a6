package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"runtime/debug"
	"strings"
)

// The parts of CycloneDX 1.6 that a Go binary fills.
type bom struct {
	Schema       string       `json:"$schema"`
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Serial       string       `json:"serialNumber"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

type component struct {
	Ref        string     `json:"bom-ref"`
	Type       string     `json:"type"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	Hashes     []hash     `json:"hashes,omitempty"`
	Licences   []licensed `json:"licenses,omitempty"`
	PURL       string     `json:"purl,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type licensed struct {
	Licence struct {
		ID string `json:"id"`
	} `json:"license"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref string   `json:"ref"`
	On  []string `json:"dependsOn,omitempty"`
}

// bom is what a binary is made of, as the binary itself says it: nothing that is
// only in go.mod, and nothing less.
func (r *release) bom(a artifact, found map[string]module) (bom, error) {
	main := component{Ref: "bindery-" + a.Function, Type: "application", Name: "bindery-" + a.Function, Version: r.version,
		Hashes: []hash{{"SHA-256", a.Bootstrap}}, Licences: licensedAs("Apache-2.0"),
		Properties: []property{{"bindery:commit", r.commit}, {"bindery:architecture", a.Architecture}, {"bindery:go", a.info.GoVersion}}}
	b := bom{Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", Spec: "1.6", Version: 1,
		Serial:   "urn:uuid:" + uuid(a.Bootstrap),
		Metadata: metadata{r.at.Format("2006-01-02T15:04:05Z"), main}, Components: []component{standard(a.info.GoVersion)}}
	for _, d := range a.info.Deps {
		c, err := library(d, found)
		if err != nil {
			return bom{}, err
		}
		b.Components = append(b.Components, c)
	}
	on := dependency{Ref: main.Ref}
	for _, c := range b.Components {
		on.On = append(on.On, c.Ref)
	}
	b.Dependencies = []dependency{on}
	return b, nil
}

// standard is Go's own library.
func standard(version string) component {
	version = strings.TrimPrefix(strings.Fields(version)[0], "go")
	purl := "pkg:golang/std@" + version
	return component{Ref: purl, Type: "library", Name: "std", Version: version, Licences: licensedAs("BSD-3-Clause"), PURL: purl}
}

func library(d *debug.Module, found map[string]module) (component, error) {
	if d.Replace != nil {
		return component{}, fmt.Errorf("the module %s is replaced: what it is made of could not be told", d.Path)
	}
	m, ok := found[d.Path+"@"+d.Version]
	if !ok {
		return component{}, fmt.Errorf("the module %s is not among those that are built", d.Path)
	}
	sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(d.Sum, "h1:"))
	if err != nil || len(sum) != 32 {
		return component{}, fmt.Errorf("the module %s has no sum", d.Path)
	}
	purl := "pkg:golang/" + d.Path + "@" + d.Version + "?type=module"
	return component{Ref: purl, Type: "library", Name: d.Path, Version: d.Version, Hashes: []hash{{"SHA-256", hex.EncodeToString(sum)}},
		Licences: licensedAs(m.licences...), PURL: purl}, nil
}

func licensedAs(ids ...string) (list []licensed) {
	for _, id := range ids {
		var l licensed
		l.Licence.ID = id
		list = append(list, l)
	}
	return list
}

// uuid makes the form of a version 8 UUID of a sum, so that the same binary has the
// same document.
func uuid(sum string) string {
	return sum[:8] + "-" + sum[8:12] + "-8" + sum[13:16] + "-8" + sum[17:20] + "-" + sum[20:32]
}
