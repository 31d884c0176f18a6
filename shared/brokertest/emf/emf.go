// Package emf reads lines of a log as CloudWatch does that takes metrics out of
// them: by the rules of the embedded metric format. A line that breaks one is
// silently no metric on AWS, so tests read every line through it.
//
// It is no client and sends nothing.
package emf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Line is what CloudWatch takes out of one line of the log.
type Line struct {
	Time       time.Time
	Namespace  string
	Dimensions map[string]string
	Units      map[string]string // by metric
	Values     map[string]float64
}

// What the format allows.
const (
	maxMetrics    = 100 // in one directive
	maxDimensions = 30  // in one set
	maxName       = 1024
	maxLine       = 256 << 10
)

// units are those of the format that are in use here.
func units() []string { return []string{"Count", "Milliseconds"} }

type directive struct {
	Namespace  string
	Dimensions [][]string
	Metrics    []struct{ Name, Unit string }
}

// Read reads one line. ok is false for a line that says nothing of metrics.
func Read(line []byte) (l Line, ok bool, err error) {
	var root map[string]json.RawMessage
	if err := json.Unmarshal(line, &root); err != nil {
		return l, false, fmt.Errorf("the line is no JSON object: %w", err)
	}
	if _, ok := root["_aws"]; !ok {
		return l, false, nil
	}
	if len(line) > maxLine {
		return l, true, errors.New("the line is longer than an event of the log may be")
	}
	var aws struct {
		Timestamp         *int64
		CloudWatchMetrics []directive
	}
	d := json.NewDecoder(bytes.NewReader(root["_aws"]))
	d.DisallowUnknownFields()
	switch err := d.Decode(&aws); {
	case err != nil:
		return l, true, fmt.Errorf("_aws: %w", err)
	case aws.Timestamp == nil:
		return l, true, errors.New("_aws has no Timestamp")
	case len(aws.CloudWatchMetrics) != 1:
		return l, true, errors.New("one directive is expected")
	}
	l = Line{Time: time.UnixMilli(*aws.Timestamp), Dimensions: map[string]string{}, Units: map[string]string{}, Values: map[string]float64{}}
	return l, true, l.take(aws.CloudWatchMetrics[0], root)
}

// take reads what a directive points at.
func (l *Line) take(d directive, root map[string]json.RawMessage) error {
	l.Namespace = d.Namespace
	switch {
	case d.Namespace == "" || len(d.Namespace) > maxName || strings.HasPrefix(d.Namespace, "AWS/"):
		return fmt.Errorf("namespace %q", d.Namespace)
	case len(d.Dimensions) != 1 || len(d.Dimensions[0]) > maxDimensions:
		return errors.New("one set of dimensions is expected")
	case len(d.Metrics) == 0 || len(d.Metrics) > maxMetrics:
		return fmt.Errorf("%d metrics", len(d.Metrics))
	}
	for _, name := range d.Dimensions[0] {
		var value string
		if json.Unmarshal(root[name], &value) != nil || value == "" || len(value) > maxName {
			return fmt.Errorf("dimension %s is no text in the line", name)
		}
		l.Dimensions[name] = value
	}
	for _, m := range d.Metrics {
		var value *float64
		switch {
		case m.Name == "" || len(m.Name) > maxName || !slices.Contains(units(), m.Unit):
			return fmt.Errorf("metric %q in %q", m.Name, m.Unit)
		case json.Unmarshal(root[m.Name], &value) != nil || value == nil:
			return fmt.Errorf("metric %s is no number in the line", m.Name)
		}
		if _, twice := l.Values[m.Name]; twice {
			return fmt.Errorf("metric %s is there twice", m.Name)
		}
		l.Values[m.Name], l.Units[m.Name] = *value, m.Unit
	}
	return nil
}

// ReadAll reads a whole log, one line for each record, and gives those lines that
// have metrics.
func ReadAll(log []byte) ([]Line, error) {
	var all []Line
	for text := range bytes.Lines(log) {
		l, ok, err := Read(text)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: %s", err, text)
		case ok:
			all = append(all, l)
		}
	}
	return all, nil
}

// Sum adds up a metric over lines.
func Sum(lines []Line, metric string) (sum float64) {
	for _, l := range lines {
		sum += l.Values[metric]
	}
	return sum
}
