package connect

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"time"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

// Browser is one browser, known by the value of its cookie. What is derived from
// it can be derived by nobody who has only seen what is stored.
type Browser struct{ value secret.Value }

// NewBrowser makes one that nobody has met.
func NewBrowser() Browser { return Browser{secret.New(newID() + newID())} }

// ParseBrowser reads a cookie's value. What does not look like one is none.
func ParseBrowser(cookie string) (Browser, bool) {
	if len(cookie) != 2*26 {
		return Browser{}, false
	}
	for i := range len(cookie) {
		if c := cookie[i]; (c < 'A' || c > 'Z') && (c < '2' || c > '7') {
			return Browser{}, false
		}
	}
	return Browser{secret.New(cookie)}, true
}

// Cookie is the cookie's value.
func (b Browser) Cookie() secret.Value { return b.value }

// Derive makes a value for one purpose and one thing: 43 characters of base64url.
func (b Browser) Derive(purpose, of string) secret.Value {
	return secret.New(base64.RawURLEncoding.EncodeToString(b.mac(purpose, of)))
}

func (b Browser) mac(purpose, of string) []byte {
	h := hmac.New(sha256.New, []byte(b.value.Reveal()))
	h.Write([]byte(broker.Digest(purpose, of)))
	return h.Sum(nil)
}

// Purposes of what is derived.
const (
	nonceOf    = "nonce"
	verifierOf = "pkce"
	csrfOf     = "csrf"
	nameOf     = "name"
)

// CSRF is the token that a form for one ticket carries in this browser.
func (b Browser) CSRF(ticket string) secret.Value { return b.Derive(csrfOf, ticket) }

func (b Browser) digest() string { return broker.Digest("cookie", b.value.Reveal()) }

func (b Browser) is(digest string) bool {
	return subtle.ConstantTimeCompare([]byte(b.digest()), []byte(digest)) == 1
}

// Person is who is logged in.
type Person struct {
	Issuer    string
	Principal string
	Name      string `json:"-"` // an e-mail or a subject, to be shown to themselves; stored only sealed for their browser
}

// Is reports whether two are the same person, whatever they are called.
func (p Person) Is(o Person) bool { return p.Issuer == o.Issuer && p.Principal == o.Principal }

// session is what is stored of a person who is logged in.
type session struct {
	Person
	Sealed []byte // the name
}

// Begin starts a session for a person who has just logged in, in a browser that
// nobody has met: a cookie from before the login is worth nothing afterwards.
func (d *Desk) Begin(ctx context.Context, p Person) (Browser, error) {
	b := NewBrowser()
	aead, err := b.names()
	if err != nil {
		return b, err
	}
	return b, d.add(ctx, browserKind, b.value.Reveal(), session{p, aead.Seal(nil, nil, []byte(p.Name), nil)}, SessionLife)
}

// Person says who is logged in, or fails with ErrGone.
func (d *Desk) Person(ctx context.Context, b Browser) (Person, error) {
	if b.value.IsZero() {
		return Person{}, ErrGone
	}
	var s session
	if err := d.find(ctx, browserKind, b.value.Reveal(), false, &s); err != nil {
		return Person{}, err
	}
	aead, err := b.names()
	if err != nil {
		return Person{}, err
	}
	name, err := aead.Open(nil, nil, s.Sealed, nil)
	if err != nil {
		return Person{}, fmt.Errorf("%w session: the name does not open", broker.ErrInvalid)
	}
	s.Name = string(name)
	return s.Person, nil
}

// names seals a person's name under a key that only this browser brings: the
// rows tell nobody who was here.
func (b Browser) names() (cipher.AEAD, error) {
	block, err := aes.NewCipher(b.mac(nameOf, ""))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Login is a login under way.
type Login struct {
	Issuer  string
	Browser string // digest
}

// BeginLogin remembers that this browser was sent to an issuer. The nonce is what
// the ID token must carry.
func (d *Desk) BeginLogin(ctx context.Context, b Browser, issuer string) (state string, nonce, verifier secret.Value, err error) {
	state = newID()
	err = d.add(ctx, loginKind, state, Login{issuer, b.digest()}, pendingLife)
	return state, b.Derive(nonceOf, state), b.Derive(verifierOf, state), err
}

// EndLogin takes the login that a state belongs to, if it began in this browser.
func (d *Desk) EndLogin(ctx context.Context, b Browser, state string) (l Login, nonce, verifier secret.Value, err error) {
	if err := d.find(ctx, loginKind, state, false, &l); err != nil {
		return l, nonce, verifier, err
	}
	if !b.is(l.Browser) { // whoever else has the state must not end it for its owner
		return Login{}, nonce, verifier, ErrGone
	}
	return l, b.Derive(nonceOf, state), b.Derive(verifierOf, state), d.find(ctx, loginKind, state, true, &l)
}

// Flow is an authorization under way at a provider. It begins only after the
// person agreed.
type Flow struct {
	Ticket     Ticket
	Person     Person
	Browser    string    // digest
	Party      string    // names provider, client and resource, which must be the same in the end
	Scopes     []string  // that the person agreed to
	Until      time.Time // that they agreed to; zero: no end
	Agreed     time.Time // when they agreed
	Generation int64     // of the grant that this replaces; 0: none
	Ended      time.Time // of that grant: one that ends meanwhile is not revived
}

// BeginFlow remembers that this browser is sent to a provider.
func (d *Desk) BeginFlow(ctx context.Context, b Browser, state string, f Flow) error {
	f.Browser = b.digest()
	return d.add(ctx, flowKind, state, f, pendingLife)
}

// NewState makes the state of a flow and its PKCE verifier.
func (b Browser) NewState() (state string, verifier secret.Value) {
	state = newID()
	return state, b.Derive(verifierOf, state)
}

// EndFlow takes the flow that a state belongs to, if it began in this browser.
func (d *Desk) EndFlow(ctx context.Context, b Browser, state string) (f Flow, verifier secret.Value, err error) {
	if err := d.find(ctx, flowKind, state, false, &f); err != nil {
		return f, verifier, err
	}
	if !b.is(f.Browser) {
		return Flow{}, verifier, ErrGone
	}
	return f, b.Derive(verifierOf, state), d.find(ctx, flowKind, state, true, &f)
}
