//go:build e2e && !nonode

package e2e

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	gocmp "github.com/google/go-cmp/cmp"

	"bindery/shared/broker"
	"bindery/shared/brokertest/idp"
)

// wire is a request as it goes over the socket, in the parts that an attack
// spoils. It starts as a valid call of the tool "whoami".
type wire struct {
	era   string
	token string // of a principal that sends nothing else
	path  string // of the server

	line    string   // request line
	header  []string // lines, without the length
	body    string
	unsized bool // nothing is said of the body's length
	cut     bool // the sender leaves after its last byte
	slow    bool // each byte of the body travels alone
}

// set replaces a header, or adds it.
func (w *wire) set(name, value string) {
	w.drop(name)
	w.add(name + ": " + value)
}

func (w *wire) drop(name string) {
	w.header = slices.DeleteFunc(w.header, func(line string) bool {
		got, _, _ := strings.Cut(line, ":")
		return strings.EqualFold(got, name)
	})
}

func (w *wire) add(lines ...string) { w.header = append(w.header, lines...) }

// text is all bytes of the request.
func (w *wire) text() string {
	header := w.header
	if !w.unsized {
		header = append(slices.Clone(header), fmt.Sprintf("Content-Length: %d", len(w.body)))
	}
	return w.line + "\r\n" + strings.Join(header, "\r\n") + "\r\n\r\n" + w.body
}

// write sends the request. It may be answered, and hung up on, before its end.
func (w *wire) write(c net.Conn) {
	all := w.text()
	if w.slow {
		_, _ = io.WriteString(c, all[:len(all)-len(w.body)])
		for _, b := range []byte(w.body) {
			_, _ = c.Write([]byte{b})
		}
		return
	}
	_, _ = io.WriteString(c, all)
}

// attack is a way to spoil a request, and what has to come of it.
type attack struct {
	spoil  func(*wire)
	status int
	code   int           // of the JSON-RPC error; 0: what is not even HTTP gets no such answer
	legacy int           // status in the legacy era, where that differs
	only   string        // the era that it is an attack in; both, if empty
	reason broker.Reason // of the record; message_refused, if empty
}

// recorded reports whether the attack leaves a refusal: somebody known sent
// what is not a call.
func (a attack) recorded() bool {
	return !slices.Contains([]int{0, notFoundCode, foreignHostCode, foreignOriginCode, noTokenCode, badTokenCode}, a.code)
}

// Codes of the error table that leave no record, because nobody is known yet.
const notFoundCode, foreignHostCode, foreignOriginCode, noTokenCode, badTokenCode = 14040, 14034, 14035, 14010, 14011

// siege is a deployment with one server, and an issuer that gives every attack
// a principal of its own: the budget of refusals holds nobody's record back.
type siege struct {
	*deployment
	era    string
	issuer *idp.Server
	u      *upstream
	owed   map[string]owed // by receipt
}

// owed is a refusal that must be recorded.
type owed struct {
	Principal string
	Reason    broker.Reason
	Status    int
}

func besiege(t *testing.T, era string) *siege {
	s := &siege{era: era, issuer: idp.New(t), owed: map[string]owed{}}
	s.deployment = deploy(t, func(p *plan) {
		p.issuers = []any{issuer(p.env, map[string]any{"issuer": s.issuer.Issuer(), "algorithms": []string{"ES256"}, "agents": "ignored"})}
	})
	s.u = s.upstream(echo())
	s.simple(s.u)
	return s
}

// valid is a call that somebody may make.
func (s *siege) valid(who string) *wire {
	w := &wire{era: s.era, path: "/mcp/" + s.env + "/notes", body: toolCall(s.era)}
	w.token = s.issuer.Sign("k1", nil, map[string]any{"iss": s.issuer.Issuer(), "sub": who, "aud": audience, "groups": []string{"g-dev"},
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()})
	w.line = "POST " + w.path + " HTTP/1.1"
	w.header = []string{"Host: " + strings.TrimPrefix(s.url, "http://"), "Authorization: Bearer " + w.token, "Content-Type: application/json",
		"Accept: application/json, text/event-stream", "MCP-Protocol-Version: " + s.era}
	if s.era == modern {
		w.add("Mcp-Method: tools/call", "Mcp-Name: whoami")
	}
	return w
}

// deliver writes a request on a connection of its own and reads the answer.
func (s *siege) deliver(t *testing.T, w *wire) answer {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(pending)))
	w.write(c)
	if w.cut {
		must(t, c.(*net.TCPConn).CloseWrite())
	}
	method, _, _ := strings.Cut(w.line, " ")
	from := bufio.NewReader(c)
	for {
		r, err := http.ReadResponse(from, &http.Request{Method: method})
		must(t, err)
		if r.StatusCode == http.StatusContinue {
			continue
		}
		body, err := io.ReadAll(r.Body)
		must(t, err)
		return answer{r.StatusCode, r.Header, string(body), r.Header.Get("Bindery-Receipt")}
	}
}

// repelled requires the one right refusal, nothing at the upstream, and notes
// the record that is owed where somebody known is to blame.
func (s *siege) repelled(t *testing.T, who string, a attack) {
	t.Helper()
	w, before := s.valid(who), len(s.u.arrivals())
	a.spoil(w)
	got, status := s.deliver(t, w), a.status
	if s.era == legacy && a.legacy != 0 {
		status = a.legacy
	}
	var fault struct{ Error struct{ Code int } }
	_ = json.Unmarshal([]byte(got.body), &fault) // what is no JSON has no code
	if got.status != status || fault.Error.Code != a.code {
		t.Errorf("answered %d %.200s, want %d with code %d", got.status, got.body, status, a.code)
	}
	if n := len(s.u.arrivals()) - before; n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
	if strings.Contains(got.body, "smuggled") || strings.Contains(got.body, w.token) {
		t.Errorf("the answer repeats the request: %.200s", got.body)
	}
	switch {
	case a.recorded() && got.receipt == "":
		t.Error("there is no receipt")
	case a.recorded():
		s.owed[got.receipt] = owed{broker.PrincipalID(s.issuer.Issuer(), who), cmp.Or(a.reason, broker.MessageRefused), status}
	case got.receipt != "":
		t.Error("there is a receipt without a record")
	}
}

// settled requires the one refusal that each attack owes, and no other.
func (s *siege) settled(t *testing.T) {
	t.Helper()
	found := map[string]owed{}
	pages := dynamodb.NewScanPaginator(s.direct, &dynamodb.ScanInput{TableName: &s.Config.Tables.Audit})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		must(t, err)
		for _, item := range page.Items {
			var r broker.Record
			must(t, attributevalue.UnmarshalMapWithOptions(item, &r, func(o *attributevalue.DecoderOptions) { o.TagKey = "json" }))
			if r.Phase == broker.Refused {
				found[r.Receipt] = owed{r.Principal, r.Reason, r.Status}
			}
		}
	}
	if diff := gocmp.Diff(s.owed, found); diff != "" {
		t.Errorf("refusals (-want +got):\n%s", diff)
	}
}

// TestHostileRequestsAreRefusedAndReachNobody, in both eras, each with the
// status and code of the error table. The call that they are made of goes
// through when the siege is over, and is the first that the upstream gets.
func TestHostileRequestsAreRefusedAndReachNobody(t *testing.T) {
	t.Parallel()
	for _, era := range []string{legacy, modern} {
		t.Run(era, func(t *testing.T) {
			t.Parallel()
			s := besiege(t, era)
			for group, attacks := range map[string]map[string]attack{"keys": hostileKeys(), "text": hostileText(), "values": hostileValues(),
				"sizes": hostileSizes(), "headers": hostileHeaders(), "mirrors": hostileMirrors(), "tokens": hostileTokens(),
				"framing": hostileFraming(), "routes": hostileRoutes(), "doors": hostileDoors(), "methods": hostileMethods()} {
				for _, name := range slices.Sorted(maps.Keys(attacks)) {
					a := attacks[name]
					if a.only != "" && a.only != era {
						continue
					}
					t.Run(group+"/"+name, func(t *testing.T) { s.repelled(t, group+"/"+name, a) })
				}
			}
			s.deliver(t, s.valid("friend")).want(t, http.StatusOK, "[masked:dev-notes]")
			if got := s.u.arrivals(); len(got) != 1 || got[0].body != toolCall(era) {
				t.Errorf("the upstream got %d requests, want the valid call alone", len(got))
			}
			s.settled(t)
		})
	}
}
