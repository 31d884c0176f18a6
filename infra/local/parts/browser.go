package parts

import (
	"context"
	_ "embed" // the pinned browser
	"encoding/json"
	"fmt"
)

//go:embed browser/package.json
var browserPackage string

//go:embed browser/package-lock.json
var browserLock string

//go:embed browser/browse.mjs
var browserProgram string

// Browser is Chromium, headless, as the npm package @sparticuz/chromium ships it,
// with axe-core to judge how accessible a page is.
type Browser struct{ clients Clients }

// Step is what a person does on one page, by keyboard alone.
type Step struct {
	Wait  string            `json:"wait"`            // the page is there when this selector matches
	Look  bool              `json:"look"`            // it is reported
	Type  map[string]string `json:"type,omitempty"`  // text by the selector of its field
	Press string            `json:"press,omitempty"` // the selector of what Enter is pressed on
}

// Walk is what a browser saw.
type Walk struct {
	Pages []struct {
		URL, Title, Heading string
		Tree                []struct {
			Role, Name string
			Level      int
		}
		Findings []string // of axe-core
		Outlined bool     // whether one could see the focus on what was pressed
	}
	Complaints []string // of the browser: what a policy blocked, what failed
	Cookies    []struct {
		Name, SameSite, Path string
		Secure, HTTPOnly     bool
	}
	Script int // scripts in the last page
}

// Chromium installs the browser. It needs Node 20 or newer with npm (about 75 MB
// to download, once).
func Chromium(ctx context.Context, p Progress) (*Browser, error) {
	h, err := findHome()
	if err != nil {
		return nil, err
	}
	node, err := findNode(ctx)
	if err != nil {
		return nil, err
	}
	files := map[string]string{"package.json": browserPackage, "package-lock.json": browserLock, "browse.mjs": browserProgram}
	dir, err := h.install(ctx, p, "browser", []string{browserPackage, browserLock, browserProgram}, func(dir string) error {
		p.say("browser: installing Chromium from the npm registry (about 75 MB to download, once)")
		return npmInstall(ctx, dir, "the browser", files)
	})
	if err != nil {
		return nil, err
	}
	return &Browser{Clients{node: node, dir: dir}}, nil
}

// Walk starts a browser that nobody has used, opens an address and takes the
// steps.
func (b *Browser) Walk(ctx context.Context, start string, steps ...Step) (Walk, error) {
	input, err := json.Marshal(map[string]any{"start": start, "steps": steps})
	if err != nil {
		return Walk{}, err
	}
	ran, err := b.clients.run(ctx, string(input), nil, []string{"browse.mjs"})
	if err != nil {
		return Walk{}, err
	}
	var saw Walk
	if err := json.Unmarshal([]byte(ran.Out), &saw); err != nil {
		return Walk{}, fmt.Errorf("the browser ended with status %d and without a report: %.2000s", ran.Code, ran.Err)
	}
	return saw, nil
}
