//go:build e2e && !nojava

package race

import (
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"bindery/shared/broker"
	"bindery/shared/credential"
	"bindery/shared/secret"
)

func (w *world) view() broker.GrantView {
	w.tb.Helper()
	view, err := w.DB.Grant(w.tb.Context(), w.grant)
	w.must(err)
	return view
}

// consent stores what the provider issued, as the callback function does.
func (w *world) consent() {
	w.tb.Helper()
	access, refresh := w.provider.consent()
	now := time.Now().UTC()
	scopes := []string{"files.read"}
	tokens, err := credential.SealTokens(w.tb.Context(), w.Sealer, w.grant,
		credential.TokenSet{Access: secret.New(access), Refresh: secret.New(refresh), Expires: now.Add(time.Hour)}, scopes)
	w.must(err)
	g := broker.Grant{GrantKey: w.grant, State: broker.Active, Provider: providerRow, Scopes: scopes, Consented: now,
		Sealed: tokens.Sealed, Expires: tokens.Expires, Refreshes: true}
	if old, err := w.DB.Grant(w.tb.Context(), w.grant); err == nil {
		g.Generation = old.Grant.Generation
	} else if !errors.Is(err, broker.ErrNotFound) {
		w.must(err)
	}
	w.must(w.DB.BeginGrant(w.tb.Context(), g, broker.Consent{Agent: agent, At: now}))
}

// holds reports whether the refresh token in the grant is the one that is good.
func (w *world) holds(g broker.Grant) bool {
	w.tb.Helper()
	set, err := credential.OpenTokens(w.tb.Context(), w.Sealer, w.grant, g.Sealed)
	w.must(err)
	return set.Refresh.Equal(secret.New(w.provider.refreshToken()))
}

// expire has the access token expire after so long.
func (w *world) expire(after time.Duration) {
	w.tb.Helper()
	w.must(w.write("SET expires = :value", time.Now().Add(after)))
}

// afterTheKill waits until a process has been killed, and has its lease run
// out, if it got one.
func (w *world) afterTheKill(at step) {
	for range 1000 {
		if p := w.script.victim(); p != nil {
			p.Stop() // waits until it has ended
			if at == leasing || at == stored {
				return // it had none, and by now a living process may have one
			}
			if err := w.write("SET lease_until = :value", time.Now().Add(-broker.ClockSkew-time.Minute)); err != nil {
				w.tb.Error(err)
			}
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.tb.Error("nobody was killed")
}

// write changes one time in the grant's row. It touches nothing that a
// condition of the protocol asks about but that time.
func (w *world) write(update string, value time.Time) error {
	page, err := w.rows.Scan(w.tb.Context(), &dynamodb.ScanInput{TableName: &w.Config.Tables.Grants, ConsistentRead: aws.Bool(true),
		FilterExpression: aws.String("attribute_exists(lease_until)"), ProjectionExpression: aws.String("pk, sk")})
	if err != nil || len(page.Items) != 1 {
		return errors.Join(errors.New("there is not one grant"), err)
	}
	_, err = w.rows.UpdateItem(w.tb.Context(), &dynamodb.UpdateItemInput{TableName: &w.Config.Tables.Grants, Key: page.Items[0], UpdateExpression: &update,
		ExpressionAttributeValues: map[string]types.AttributeValue{":value": &types.AttributeValueMemberS{Value: value.UTC().Format("2006-01-02T15:04:05.000000000Z")}}})
	return err
}
