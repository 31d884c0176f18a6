package broker_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// writer remembers what was stored.
type writer struct {
	broker.CatalogueWriter
	server  *broker.Server
	store   *broker.Store
	binding *broker.Binding
}

func (w *writer) PutServer(_ context.Context, s broker.Server) error   { w.server = &s; return nil }
func (w *writer) PutBinding(_ context.Context, b broker.Binding) error { w.binding = &b; return nil }

func registry(w *world) (*broker.Registry, *writer) {
	store := &writer{}
	return &broker.Registry{Writer: store, Reader: w, Markers: w, Sources: map[broker.SourceKind]broker.Source{broker.Static: w},
		CheckServer: func(broker.Server) error { return nil }, TryAttach: func(broker.Server, map[string]secret.Value) error { return w.attachErr }}, store
}

func TestBindingIsBoundToTheOriginItWasMadeFor(t *testing.T) {
	w := newWorld()
	r, store := registry(w)
	b := card(t, "a", group("dev"))
	b.Origin = "another"
	if err := r.Bind(context.Background(), b); !errors.Is(err, broker.ErrConflict) || store.binding != nil {
		t.Errorf("a card for another origin than the server's: %v", err)
	}
	b.Origin = ""
	if err := r.Bind(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	if store.binding.Origin != origin(t, upstreamURL) {
		t.Errorf("origin %q", store.binding.Origin)
	}
}

func TestBindRefusesWhatACallCouldNotHonour(t *testing.T) {
	cases := map[string]struct {
		change func(*broker.Binding)
		world  func(*world)
		want   string
	}{
		"a value too short to mask":      {world: func(w *world) { w.obtain = failing(broker.ErrSecretMalformed) }, want: "secret malformed"},
		"a value its place cannot carry": {world: func(w *world) { w.attachErr = broker.ErrSecretMalformed }, want: "attach the credential"},
		"a reference to nothing":         {world: func(w *world) { w.obtain = failing(broker.ErrSecretMissing) }, want: "secret missing"},
		"a reference outside its store":  {change: func(b *broker.Binding) { b.Fields[0].Reference = reference(t, "aws-sm:staging/x#token") }, want: "reference_outside_scope"},
		"an unregistered store":          {change: func(b *broker.Binding) { b.Fields[0].Reference = reference(t, "vault:prod/x#token") }, want: "store_not_registered"},
		"a field too few":                {change: func(b *broker.Binding) { b.Fields = nil }, want: "fields_incomplete"},
		"a server that does not exist":   {world: func(w *world) { w.snapshot.Server = nil }, want: "not found"},
		"no actor":                       {change: func(b *broker.Binding) { b.Actor = broker.Actor{} }, want: "exactly one actor"},
		"two actors":                     {change: func(b *broker.Binding) { b.Actor.Anyone = true }, want: "exactly one actor"},
		"half an attribute":              {change: func(b *broker.Binding) { b.Actor = broker.Actor{Attribute: broker.Attribute{Name: "x"}} }, want: "exactly one actor"},
		"no owner":                       {change: func(b *broker.Binding) { b.Owner = "" }, want: "owner"},
		"a name that is no slug":         {change: func(b *broker.Binding) { b.Name = "A b" }, want: "a-z"},
		"a pattern with two wildcards":   {change: func(b *broker.Binding) { b.Allow.Tools = []string{"a*b*"} }, want: "ends in one *"},
		"agent_scoped without an agent":  {change: func(b *broker.Binding) { b.Mode = broker.AgentScoped }, want: "needs an agent"},
		"an unknown mode":                {change: func(b *broker.Binding) { b.Mode = "other" }, want: "mode_or_source_unknown"},
		"a catalogue that does not read": {world: func(w *world) { w.readErr = broker.ErrUnavailable }, want: "unavailable"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			if c.world != nil {
				c.world(w)
			}
			b := card(t, "a", group("dev"))
			if c.change != nil {
				c.change(&b)
			}
			r, store := registry(w)
			err := r.Bind(context.Background(), b)
			if err == nil || !strings.Contains(err.Error(), c.want) || store.binding != nil {
				t.Errorf("got %v, want an error with %q and nothing stored", err, c.want)
			}
		})
	}
}

func failing(err error) func() (broker.Credential, error) {
	return func() (broker.Credential, error) { return broker.Credential{}, err }
}

func TestPutServerRefuses(t *testing.T) {
	cases := map[string]func(*broker.Server){
		"no owner":                          func(s *broker.Server) { s.Owner = "" },
		"a URL with a user":                 func(s *broker.Server) { s.URL = "https://user:pass@example.com/mcp" },
		"a URL that is no URL":              func(s *broker.Server) { s.URL = "file:///etc/passwd" },
		"opening loopback":                  func(s *broker.Server) { s.Networks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} },
		"opening link-local":                func(s *broker.Server) { s.Networks = []netip.Prefix{netip.MustParsePrefix("169.254.169.254/32")} },
		"opening the whole internet":        func(s *broker.Server) { s.Networks = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")} },
		"opening more than a private range": func(s *broker.Server) { s.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/7")} },
		"a template without a field":        func(s *broker.Server) { s.Attach[0].Template = "Bearer literal" },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			r, store := registry(w)
			s := *w.snapshot.Server
			change(&s)
			if err := r.PutServer(context.Background(), s); !errors.Is(err, broker.ErrInvalid) || store.server != nil {
				t.Errorf("got %v, stored %v", err, store.server)
			}
		})
	}
	w := newWorld()
	r, store := registry(w)
	s := *w.snapshot.Server
	s.Networks = []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")}
	if err := r.PutServer(context.Background(), s); err != nil || store.server == nil {
		t.Errorf("a good server: %v", err)
	}
}

func TestOriginIsSchemeHostAndPort(t *testing.T) {
	same := origin(t, "https://API.example.com:443/other?x=1")
	if same != origin(t, upstreamURL) {
		t.Error("path, case and default port are not part of the origin")
	}
	for _, other := range []string{"http://api.example.com/mcp", "https://api.example.com:8443/mcp", "https://api.example.org/mcp"} {
		if origin(t, other) == same {
			t.Errorf("%s has the same origin", other)
		}
	}
}

// TestWhatIsRevokedIsNotReadToMakeACard, and a card that rests on it can be
// stopped all the same.
func TestWhatIsRevokedIsNotReadToMakeACard(t *testing.T) {
	for name, m := range map[string]broker.Marker{
		"reference_revoked":    revokedReference,
		"store_not_registered": {Environment: "prod", Kind: broker.StoreMarker, ID: "aws-sm", Epoch: 1, Revoked: true},
	} {
		w := newWorld()
		r, store := registry(w)
		w.markers, w.snapshot.Markers = []broker.Marker{m}, []broker.Marker{m}
		read := false
		w.obtain = func() (broker.Credential, error) {
			read = true
			return broker.Credential{}, nil
		}
		b := card(t, "a", group("dev"))
		b.State = broker.Active
		if err := r.Bind(t.Context(), b); err == nil || !strings.Contains(err.Error(), name) || store.binding != nil || read {
			t.Errorf("%s: read %t, stored %v, %v", name, read, store.binding != nil, err)
		}
		b.State = broker.Suspended
		if err := r.Bind(t.Context(), b); err != nil || store.binding == nil || read {
			t.Errorf("%s: a card that is stopped: read %t, %v", name, read, err)
		}
	}
}
