package credential

import (
	"context"
	"errors"
	"slices"
	"strings"

	"bindery/shared/broker"
)

// end judges a run that is over.
func (x *explorer) end(w *explored) {
	x.ends++
	wrong := func(what string) {
		if x.failed == "" {
			x.failed = what + ":\n\t" + strings.Join(w.trace, "\n\t")
		}
	}
	view, err := w.db.Grant(context.Background(), grantKey())
	if err != nil {
		wrong(err.Error())
	}
	grant, provider := view.Grant, w.provider
	safe := holds(grant.Sealed, provider.current) || view.Spare != nil && holds(view.Spare.Sealed, provider.current)
	if !safe && !w.revoked {
		x.losses++
	}
	if !w.excused {
		switch {
		case provider.used > 0:
			wrong("an old refresh token was used")
		case !w.revoked && !grant.Dead.IsZero():
			wrong("a grant died")
		case !w.revoked && !safe:
			wrong("a grant was lost")
		}
	}
	died := w.events.died()
	switch {
	case provider.used > 1:
		wrong("old refresh tokens were used twice")
	case len(died) > 1 || (len(died) == 1) == grant.Dead.IsZero():
		wrong("not one record of one death")
	case slices.ContainsFunc(w.overtaken, func(former string) bool { return !slices.Contains(w.events.unknown(), former) }):
		wrong("nobody told of an attempt before its place was taken")
	case len(died) == 1 && !w.excused, len(died) == 1 && died[0] != string(OutcomeUnknown):
		wrong("a loss is not counted as what it is")
	case w.revoked && (grant.State == broker.Active || len(grant.Sealed) > 0 || view.Spare != nil):
		wrong("a revoked grant came back")
	}
	for _, p := range w.procs {
		w.judge(p, x.left, wrong)
	}
	if w.revoked && x.left.store == 0 && x.left.crashes == 0 && x.left.provider == 0 {
		for _, token := range w.issued {
			if !slices.Contains(w.stored, token) && !slices.Contains(provider.revoked, token) {
				wrong("a token of nobody is left at the provider")
			}
		}
	}
}

func (w *explored) judge(p *process, full budget, wrong func(string)) {
	switch {
	case p.dead:
	case p.err == nil && !strings.Contains(p.token, "access"):
		wrong("no token and no fault")
	case p.err == nil && w.revoked && p.begunDead:
		wrong("a call that began after the revocation got a token")
	case p.err == nil && w.revoked && !slices.Contains(w.stored, strings.Replace(p.token, "access", "refresh", 1)):
		wrong("a token that was issued after the revocation was used")
	case p.err != nil && full == (budget{}):
		wrong("a call failed although nothing was wrong: " + p.err.Error())
	case p.err != nil && !errors.Is(p.err, broker.ErrConsentRequired) && !errors.Is(p.err, broker.ErrUnavailable):
		wrong("a fault of no kind: " + p.err.Error())
	case errors.Is(p.err, broker.ErrConsentRequired) && !w.revoked && !w.excused:
		wrong("consent was asked for although there is one")
	}
}
