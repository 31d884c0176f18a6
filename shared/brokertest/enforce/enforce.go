// Package enforce stands between functions and an AWS-compatible endpoint that
// permits everything, and permits what AWS would: it knows which function sends a
// request by its access key id, reads action, resource and condition keys out of
// the request, and has them decided by the roles and policies of the template.
// What is not allowed is answered as AWS answers it and goes no further.
//
// Requests that it cannot read, and senders that it does not know, are denied. It
// verifies no signature, changes no request, and keeps nothing of a request but
// what was decided. For tests only, on loopback only.
package enforce

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"bindery/shared/brokertest/iam"
	"bindery/shared/brokertest/template"
)

// Proxy is a running proxy.
type Proxy struct {
	URL string

	account iam.Account
	senders map[string]sender // by access key id
	tally   *Tally
	onwards *httputil.ReverseProxy
	secrets *secretsmanager.Client
	keys    *kms.Client
	keyARNs sync.Map // by what a request calls the key
	mu      sync.Mutex
	denied  []string
	off     bool
}

// sender is who sends a request: a function, or somebody without an ARN.
type sender struct{ role, arn string }

// Deployment is what is deployed at an endpoint.
type Deployment struct {
	Environment string   // its stack is called bindery-{environment}
	ValuesKey   string   // ARN of the key at the endpoint
	FormerKeys  []string // those of stacks before, with the same policy
	Parameters  map[string]any
	OtherKeys   map[string]string // policies of keys that are not of the stack, by ARN
}

// New starts a proxy in front of an endpoint that ends with the test. Functions
// have the access key ids proxy, admin, and so on. What is decided is counted in
// tally, which may be nil.
func New(t testing.TB, endpoint string, d Deployment, tally *Tally) *Proxy {
	t.Helper()
	p := &Proxy{tally: tally, senders: map[string]sender{}}
	if err := p.deploy(d); err != nil {
		t.Fatalf("read the template: %v", err)
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatalf("parse the endpoint: %v", err)
	}
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}
	p.onwards = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }, Transport: transport,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	own := aws.Config{Region: template.Region, BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")}
	p.secrets, p.keys = secretsmanager.NewFromConfig(own), kms.NewFromConfig(own)
	server := httptest.NewServer(p)
	p.URL = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		transport.CloseIdleConnections()
	})
	return p
}

// deploy reads the roles and policies of the template.
func (p *Proxy) deploy(d Deployment) error {
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	given := map[string]any{"Environment": d.Environment, "Issuers": "{}"}
	for name, value := range d.Parameters {
		given[name] = value
	}
	s, err := template.Read(filepath.Join(root, "template.yaml"), "bindery-"+d.Environment, given)
	if err != nil {
		return err
	}
	if p.account, err = s.Account(); err != nil {
		return err
	}
	for arn, policy := range p.account.Resources {
		if strings.HasSuffix(arn, "-ValuesKey") { // the stack has one key; it is the one at the endpoint
			delete(p.account.Resources, arn)
			for _, key := range append(d.FormerKeys, d.ValuesKey) {
				p.account.Resources[key] = policy
			}
		}
	}
	for arn, text := range d.OtherKeys {
		if p.account.Resources[arn], err = iam.Parse([]byte(text), true); err != nil {
			return err
		}
	}
	p.senders, err = senders(s)
	return err
}

func senders(s *template.Stack) (map[string]sender, error) {
	all := map[string]sender{}
	for _, function := range s.Resources("AWS::Serverless::Function") {
		role, err := s.RoleOf(function)
		if err != nil {
			return nil, err
		}
		arn, err := s.ARN(function)
		if err != nil {
			return nil, err
		}
		all[strings.ToLower(strings.TrimSuffix(function, "Function"))] = sender{role, arn}
	}
	return all, nil
}

// Admit lets somebody in who is no function and has a policy of its own, by an
// access key id. Nothing may have been asked yet.
func (p *Proxy) Admit(accessKeyID string, policy iam.Policy) {
	role := "arn:aws:iam::" + template.AccountID + ":role/" + accessKeyID
	p.account.Roles[role] = policy
	p.senders[accessKeyID] = sender{role: role}
}

// moduleRoot is the folder of go.mod, from wherever a test runs.
func moduleRoot() (string, error) {
	at, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", errors.New("no go.mod above the test")
		}
	}
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	if why := p.decide(r, body); why != "" && !p.isOff() {
		p.mu.Lock()
		p.denied = append(p.denied, why)
		p.mu.Unlock()
		refuse(w, why)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	p.onwards.ServeHTTP(w, r)
}

// decide says why a request is denied, or nothing. Every part of it has to be
// allowed.
func (p *Proxy) decide(r *http.Request, body []byte) string {
	name := accessKeyID(r)
	from, known := p.senders[name]
	if !known {
		return fmt.Sprintf("%q is no function", name)
	}
	questions, err := p.read(r, body)
	if err != nil {
		return fmt.Sprintf("%s: %v", name, err)
	}
	for _, q := range questions {
		keys := map[string][]string{}
		if from.arn != "" {
			keys["lambda:sourcefunctionarn"] = []string{from.arn}
		}
		maps.Copy(keys, q.keys)
		d, err := p.account.Decide(iam.Request{Principal: from.role, Action: q.action, Resource: q.resource, Keys: keys})
		if err != nil {
			return fmt.Sprintf("%s: %v", name, err)
		}
		if d.Verdict != iam.Allowed {
			return fmt.Sprintf("%s: %s on %s with %v is %s", name, q.action, q.resource, q.keys, d.Verdict)
		}
		p.tally.add(name, q.action, q.keys[leadingKeys], d.By)
	}
	return ""
}

// accessKeyID is whose signature a request carries.
func accessKeyID(r *http.Request) string {
	_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	id, _, _ := strings.Cut(rest, "/")
	return id
}

// refuse answers in the way of each protocol: JSON services read __type, those
// with paths read the header.
func refuse(w http.ResponseWriter, why string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.Header().Set("X-Amzn-Errortype", "AccessDeniedException")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": "AccessDeniedException", "message": why})
}

// Denied are the requests that were denied, in words.
func (p *Proxy) Denied() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.denied)
}

// Off lets everything through from now on: for tests of what is found where a role
// may more than it should.
func (p *Proxy) Off() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.off = true
}

func (p *Proxy) isOff() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.off
}

// Hold fails the test, at its end, for each request that was denied.
func (p *Proxy) Hold(t testing.TB) {
	t.Cleanup(func() {
		for _, why := range p.Denied() {
			t.Errorf("denied: %s", why)
		}
	})
}
