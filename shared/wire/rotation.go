package wire

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/oklog/ulid/v2"

	"bindery/shared/broker"
	"bindery/shared/config"
	"bindery/shared/credential"
	"bindery/shared/egress"
	"bindery/shared/maker"
	"bindery/shared/mask"
	"bindery/shared/oauth"
	"bindery/shared/probe"
	"bindery/shared/rotate"
	"bindery/shared/secret"
	"bindery/shared/stores/awssm"
	"bindery/shared/stores/sealed"
)

// rotationPools is how many distinct sets of opened networks are kept warm.
const rotationPools = 8

// Rotation joins the engine of rotations.
func (p Parts) Rotation(c config.Config, a aws.Config, secrets time.Duration, journal *broker.Journal, log *slog.Logger) *rotate.Engine {
	pool := egress.NewPool(egress.Policy{Loopback: c.Local}, rotationPools)
	return &rotate.Engine{Parts: rotate.Parts{
		Environment: c.Environment, Runs: p.DB, Plans: p.DB, Catalogue: p.DB, Cards: p.DB, Providers: p.DB, Markers: p.DB,
		Source: p.Static, Stores: p.stagers(a, secrets), SignIn: p.Static.SignIn, Sealer: p.Sealer, Journal: journal,
		Makers: map[broker.MakerKind]broker.ValueMaker{
			broker.MakeRandom:   maker.Random{},
			broker.MakeByRecipe: &maker.Recipe{Client: func(n []netip.Prefix) maker.Client { return pool.For(n) }},
			broker.MakeClientSecret: &oauth.SecretMaker{HTTP: func(n []netip.Prefix) *http.Client { return pool.For(n).HTTP() },
				Provider: p.DB.Provider, Read: p.beside, Now: time.Now, Loopback: c.Local},
		},
		Prober: prober{NewUpstreams(c, rotationPools)}, Check: mask.Check, Now: time.Now, Holder: rand.Text,
		ID: func(at time.Time) string { return ulid.MustNew(ulid.Timestamp(at), rand.Reader).String() },
		Report: func(run broker.Rotation, err error) {
			log.Warn("a rotation does not go on", "rotation", run.ID, "subject", run.Subject, "step", string(run.Step), "tries", run.Tries, "cause", string(broker.ReasonOf(err)))
		},
	}}
}

// beside reads members of the object that holds the secret of a plan: of a client
// at its provider. "" is the member that the plan names.
func (p Parts) beside(ctx context.Context, at broker.Provider, m broker.Making, members ...string) (map[string]secret.Value, error) {
	origin, err := broker.OriginDigest(at.Address())
	if err != nil {
		return nil, err
	}
	stores, err := broker.AllStores(ctx, p.DB, m.Plan.Environment)
	if err != nil {
		return nil, err
	}
	found := map[string]secret.Value{}
	for _, member := range members {
		r := m.Plan.Reference
		if member != "" {
			if r, err = broker.ParseReference(r.WithoutKey().String() + "#" + member); err != nil {
				return nil, err
			}
		}
		got, err := p.Static.Obtain(ctx, broker.Ask{Stores: stores, Binding: broker.Binding{Environment: m.Plan.Environment, Origin: origin,
			Fields: []broker.Field{{Name: "member", Reference: r}}}})
		if err != nil {
			return nil, err
		}
		found[member] = got.Fields["member"]
	}
	return found, nil
}

// stagers are the stores in which a value can be prepared, by kind.
func (p Parts) stagers(a aws.Config, secrets time.Duration) map[string]broker.StagingStore {
	return map[string]broker.StagingStore{
		"aws-sm": awssm.NewStager(secretsmanager.NewFromConfig(a), secrets, time.Now),
		"sealed": sealed.NewStager(p.Sealed, p.DB),
	}
}

// prober asks upstreams as nobody in particular: no identity is propagated.
type prober struct{ upstreams Upstreams }

// Probe implements rotate.Prober.
func (p prober) Probe(ctx context.Context, s broker.Server, mode broker.Mode, receipt string, fields map[string]secret.Value) broker.Reason {
	client, err := p.upstreams.For(&s)
	if err != nil {
		return broker.UpstreamAddress
	}
	if s.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.Timeout)
		defer cancel()
	}
	asked := probe.Probe{Client: client, URL: s.URL, Prepare: func(r *http.Request) error {
		if err := credential.Propagate(r.Header, &s, &broker.Principal{}, receipt, mode); err != nil {
			return err
		}
		return credential.Attach(r, &s, fields)
	}}
	found, err := asked.Ask(ctx)
	switch {
	case errors.Is(err, broker.ErrSecretMalformed), errors.Is(err, broker.ErrSecretMissing):
		return broker.SecretMalformed
	case err != nil:
		return broker.FieldsIncomplete
	}
	return found.Reason
}
