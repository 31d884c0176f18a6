package broker_test

import (
	"context"
	"testing"

	"bindery/shared/broker"
)

// TestASecretIsReachedByOneNameOnly: a card of a time when ARNs were taken is
// refused, whatever paths its store was registered with, because a revocation of
// the secret by its name does not reach it.
func TestASecretIsReachedByOneNameOnly(t *testing.T) {
	const arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/github"
	for _, path := range []string{arn + "-AbCdEf", arn, arn[:len(arn)-len("hub")], "ARN" + arn[len("arn"):]} {
		stored, err := broker.StoredReference("aws-sm:" + path + "#token")
		if err != nil {
			t.Fatal(err)
		}
		for _, paths := range []broker.Scope{{"*"}, {"prod/*", path}, {arn[:len(arn)-len("github")] + "*"}} {
			w := newWorld()
			w.obtain = nil // no secret may be touched
			w.snapshot.Stores[0].Paths = paths
			w.snapshot.Shared = []broker.Binding{card(t, "a", user("p-alice"), func(b *broker.Binding) { b.Fields[0].Reference = stored })}
			_, err := w.broker().Decide(context.Background(), call(alice))
			wantReason(t, err, broker.ReferenceOutside)
		}
	}
}

// TestARevocationReachesEveryMemberAndVersion of a secret, also what is written
// no more because it says nothing: the label that is read anyway.
func TestARevocationReachesEveryMemberAndVersion(t *testing.T) {
	revoked := reference(t, "aws-sm:prod/github")
	for _, text := range []string{"aws-sm:prod/github", "aws-sm:prod/github#token", "aws-sm:prod/github?stage=AWSCURRENT#token", "aws-sm:prod/github?stage=AWSPREVIOUS"} {
		of, err := broker.StoredReference(text)
		if err != nil {
			t.Fatal(err)
		}
		if !revoked.Covers(of) {
			t.Errorf("%s is not reached", text)
		}
	}
	for _, other := range []string{"aws-sm:prod/github-2", "aws-sm:/prod/github", "aws-sm:Prod/github", "vault:prod/github", "aws-sm:prod/github/x"} {
		if revoked.Covers(reference(t, other)) {
			t.Errorf("%s is reached: it is another secret", other)
		}
	}
}
