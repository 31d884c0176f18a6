package apigateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// definition is what the expanded template says about the API.
type definition struct {
	routes     []route
	timeout    time.Duration // of the proxy function
	authorizer *authorizer   // nil: none
	answers    map[string]answer
}

// route is one method of one path; {x} in it stands for one segment.
type route struct {
	method, path string
	asks         bool // the authorizer
}

// authorizer says what an answer is remembered by, and how long.
type authorizer struct {
	sources []string
	life    time.Duration
}

// answer is a gateway response. Status 0 means the status of its cause.
type answer struct {
	status int
	header map[string]string // name to 'literal' or context.authorizer.name
	body   string
}

// read takes the API's definition out of an expanded template. Parameters have
// the given values, else their defaults; a condition holds if it compares a
// parameter to that value.
func read(template []byte, given map[string]string) (*definition, error) {
	var t struct {
		Parameters map[string]struct{ Default any }
		Conditions map[string]map[string]any
		Resources  map[string]struct {
			Properties struct{ Body, Timeout any }
		}
	}
	if err := json.Unmarshal(template, &t); err != nil {
		return nil, fmt.Errorf("apigateway: the template: %w", err)
	}
	r := resolver{parameters: map[string]any{}, conditions: t.Conditions}
	for name, p := range t.Parameters {
		r.parameters[name] = p.Default
	}
	for name, value := range given {
		r.parameters[name] = value
	}
	seconds, err := strconv.Atoi(fmt.Sprint(r.resolve(t.Resources["ProxyFunction"].Properties.Timeout)))
	api, ok := t.Resources["Api"]
	if err != nil || !ok {
		return nil, errors.New("apigateway: the template has no Api, or no ProxyFunction with a timeout")
	}
	d, err := readBody(r.resolve(api.Properties.Body))
	if err != nil {
		return nil, err
	}
	d.timeout = time.Duration(seconds) * time.Second
	return d, nil
}

// resolver decides Fn::If and Ref; everything else stays as it is.
type resolver struct {
	parameters map[string]any
	conditions map[string]map[string]any
}

func (r resolver) resolve(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = r.resolve(v[i])
		}
	case map[string]any:
		if choice, ok := v["Fn::If"].([]any); ok && len(choice) == 3 {
			if r.holds(choice[0]) {
				return r.resolve(choice[1])
			}
			return r.resolve(choice[2])
		}
		if name, ok := v["Ref"].(string); ok && r.parameters[name] != nil {
			return r.parameters[name]
		}
		for name := range v {
			v[name] = r.resolve(v[name])
		}
	}
	return v
}

func (r resolver) holds(condition any) bool {
	name, _ := condition.(string)
	pair, ok := r.conditions[name]["Fn::Equals"].([]any)
	return ok && len(pair) == 2 && fmt.Sprint(r.resolve(pair[0])) == fmt.Sprint(r.resolve(pair[1]))
}

func readBody(body any) (*definition, error) {
	var b struct {
		Paths map[string]map[string]struct {
			Security    []map[string]any
			Integration struct {
				ResponseTransferMode string
				URI                  map[string]any
			} `json:"x-amazon-apigateway-integration"`
		}
		Components struct {
			SecuritySchemes map[string]struct {
				Authorizer struct {
					IdentitySource string
					TTL            any `json:"authorizerResultTtlInSeconds"`
				} `json:"x-amazon-apigateway-authorizer"`
			}
		}
		Responses map[string]struct {
			StatusCode string
			Parameters map[string]string `json:"responseParameters"`
			Templates  map[string]string `json:"responseTemplates"`
		} `json:"x-amazon-apigateway-gateway-responses"`
	}
	text, err := json.Marshal(body)
	if err == nil {
		err = json.Unmarshal(text, &b)
	}
	if err != nil {
		return nil, fmt.Errorf("apigateway: the API's definition: %w", err)
	}
	d := &definition{answers: map[string]answer{}}
	for path, methods := range b.Paths {
		for method, m := range methods {
			if uri, _ := m.Integration.URI["Fn::Sub"].(string); strings.Contains(uri, "${AdminFunction") || strings.Contains(uri, "${CallbackFunction") {
				continue // the admin API and the connect page are buffered, and no part of what is played here
			}
			if m.Integration.ResponseTransferMode != "STREAM" {
				return nil, fmt.Errorf("apigateway: %s %s does not stream", method, path)
			}
			d.routes = append(d.routes, route{strings.ToUpper(method), path, len(m.Security) > 0})
		}
	}
	for _, scheme := range b.Components.SecuritySchemes {
		seconds, err := strconv.Atoi(fmt.Sprint(scheme.Authorizer.TTL))
		if err != nil {
			return nil, errors.New("apigateway: the authorizer's answers have no life")
		}
		d.authorizer = &authorizer{strings.Split(scheme.Authorizer.IdentitySource, ", "), time.Duration(seconds) * time.Second}
	}
	if asks := slices.ContainsFunc(d.routes, func(r route) bool { return r.asks }); asks != (d.authorizer != nil) {
		return nil, errors.New("apigateway: methods and authorizer do not fit together")
	}
	for kind, r := range b.Responses {
		a := answer{header: map[string]string{}, body: r.Templates["application/json"]}
		if r.StatusCode != "" {
			if a.status, err = strconv.Atoi(r.StatusCode); err != nil {
				return nil, fmt.Errorf("apigateway: %s: its status is no number", kind)
			}
		}
		for name, value := range r.Parameters {
			a.header[strings.TrimPrefix(name, "gatewayresponse.header.")] = value
		}
		d.answers[kind] = a
	}
	return d, nil
}

// find gives the route of a request.
func (d *definition) find(method, path string) (route, map[string]string, bool) {
	for _, r := range d.routes {
		if parameters, ok := match(r.path, path); ok && r.method == method {
			return r, parameters, true
		}
	}
	return route{}, nil, false
}

func match(pattern, path string) (map[string]string, bool) {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return nil, false
	}
	parameters := map[string]string{}
	for i, segment := range want {
		switch name, ok := strings.CutPrefix(segment, "{"); {
		case ok && got[i] != "":
			parameters[strings.TrimSuffix(name, "}")] = got[i]
		case segment != got[i]:
			return nil, false
		}
	}
	return parameters, true
}

// gatewayError names a cause, with the status API Gateway gives it unasked.
type gatewayError struct {
	kind   string
	status int
	extra  map[string]any // the authorizer's context
}

// say answers a request in the function's place.
func (d *definition) say(w http.ResponseWriter, e *gatewayError) {
	a, ok := d.answers[e.kind]
	if !ok {
		a = d.answers[fmt.Sprintf("DEFAULT_%dXX", e.status/100)]
	}
	if a.status == 0 {
		a.status = e.status
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", e.kind)
	for name, value := range a.header {
		if key, ok := strings.CutPrefix(value, "context.authorizer."); ok {
			value, _ = e.extra[key].(string)
		}
		w.Header().Set(name, strings.Trim(value, "'"))
	}
	w.WriteHeader(a.status)
	_, _ = w.Write([]byte(a.body)) // the client may be gone
}
