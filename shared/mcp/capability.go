package mcp

import "math/bits"

// capabilities are what a client declared that it can do, of a fixed list.
type capabilities uint8

const (
	canForm capabilities = 1 << iota
	canURL
	canRoots
	canSample
	canTasks
)

// names gives the capabilities in short form, in a fixed order.
func (c capabilities) names() []string {
	if c == 0 {
		return nil
	}
	names := make([]string, 0, bits.OnesCount8(uint8(c)))
	for i, name := range [...]string{"elicitation.form", "elicitation.url", "roots", "sampling", "tasks"} {
		if c&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// member reads one member of a capabilities object. Only an object declares a
// capability. An elicitation that names no mode means forms: it was written
// before there were modes.
func (c *capabilities) member(s *scanner, key []byte, depth int) error {
	if s.peek() != '{' {
		return s.value(depth)
	}
	switch string(key) {
	case "elicitation":
		err := s.object(depth+1, c.mode)
		if *c&(canForm|canURL) == 0 {
			*c |= canForm
		}
		return err
	case "roots":
		*c |= canRoots
	case "sampling":
		*c |= canSample
	case "tasks":
		*c |= canTasks
	}
	return s.value(depth)
}

func (c *capabilities) mode(s *scanner, key []byte, depth int) error {
	if s.peek() == '{' {
		switch string(key) {
		case "form":
			*c |= canForm
		case "url":
			*c |= canURL
		}
	}
	return s.value(depth)
}
