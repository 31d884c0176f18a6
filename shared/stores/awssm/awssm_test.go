package awssm

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"bindery/shared/broker"
	"bindery/shared/secret"
)

func fetch(t *testing.T, s *Store, reference string, keys ...string) (broker.Secret, error) {
	t.Helper()
	r, err := broker.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	return s.Fetch(t.Context(), broker.Want{Reference: r, Keys: keys})
}

func mustBe(t *testing.T, found broker.Secret, err error, want string, previous ...string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if !found.Values[""].Equal(secret.New(want)) {
		t.Errorf("the value is not %q", want)
	}
	if len(found.Previous) != len(previous) {
		t.Fatalf("%d earlier values, want %d", len(found.Previous), len(previous))
	}
	for i := range previous {
		if !found.Previous[i].Equal(secret.New(previous[i])) {
			t.Errorf("the earlier value is not %q", previous[i])
		}
	}
}

func TestReferenceByStageAndVersion(t *testing.T) {
	m := newManager()
	first := m.putText("prod/github", "made-up-value-one")
	second := m.putText("prod/github", "made-up-value-two")
	for reference, want := range map[string][]string{
		"aws-sm:prod/github":                   {"made-up-value-two", "made-up-value-one"},
		"aws-sm:prod/github?stage=AWSPREVIOUS": {"made-up-value-one"},
		"aws-sm:prod/github?version=" + first:  {"made-up-value-one"},
		"aws-sm:prod/github?version=" + second: {"made-up-value-two"},
	} {
		found, err := fetch(t, New(m, 0, time.Now), reference, "")
		mustBe(t, found, err, want[0], want[1:]...)
		if !strings.HasPrefix(found.RequestID, "request-") {
			t.Errorf("%s: request id %q is not the store's own", reference, found.RequestID)
		}
	}
	for _, reference := range []string{
		"aws-sm:prod/github?stage=CUSTOM", "aws-sm:prod/github?version=" + strings.Repeat("9", 32), "aws-sm:prod/git",
	} {
		if _, err := fetch(t, New(m, 0, time.Now), reference, ""); !errors.Is(err, broker.ErrSecretMissing) {
			t.Errorf("%s: %v, want ErrSecretMissing", reference, err)
		}
	}
}

func TestMalformedSelectorSendsNothing(t *testing.T) {
	m := newManager()
	m.putText("a", "made-up-value-one")
	for _, selector := range []string{"label=AWSCURRENT", "STAGE=AWSCURRENT", "version=short", "version=" + strings.Repeat("a", 65), "stage=" + strings.Repeat("a", 257)} {
		_, err := fetch(t, New(m, 0, time.Now), "aws-sm:a?"+selector, "")
		if !errors.Is(err, broker.ErrInvalid) || !errors.Is(err, broker.ErrSecretMalformed) {
			t.Errorf("%s: %v, want ErrInvalid and ErrSecretMalformed", selector, err)
		}
	}
	if calls := m.take(); len(calls) > 0 {
		t.Errorf("requests left for malformed references: %v", calls)
	}
}

// TestASecretIsAskedForByItsNameAlone: an ARN is a second name of it, and Secrets
// Manager takes parts of ARNs besides. The row may be older than the rule.
func TestASecretIsAskedForByItsNameAlone(t *testing.T) {
	m := newManager()
	m.putText("prod/github", "made-up-value-one")
	for _, path := range []string{arnPrefix + "prod/github-AbCdEf", arnPrefix + "prod/github", arnPrefix + "prod/git", "ARN:" + arnPrefix[4:] + "prod/github", "secret:prod/github"} {
		r, err := broker.StoredReference("aws-sm:" + path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := New(m, 0, time.Now).Fetch(t.Context(), broker.Want{Reference: r, Keys: []string{""}}); !errors.Is(err, broker.ErrSecretMalformed) {
			t.Errorf("%s: %v, want ErrSecretMalformed", path, err)
		}
	}
	if calls := m.take(); len(calls) > 0 {
		t.Errorf("requests left for ARNs: %v", calls)
	}
	for _, path := range []string{"/prod/github", "Prod/github", "prod/github-AbCdEf", "prod%2Fgithub"} { // names of other secrets
		if _, err := fetch(t, New(m, 0, time.Now), "aws-sm:"+path, ""); !errors.Is(err, broker.ErrSecretMissing) {
			t.Errorf("%s: %v, want ErrSecretMissing", path, err)
		}
	}
}

func TestAnswerAboutAnotherSecretIsRefused(t *testing.T) {
	const other = "prod/github-other"
	for _, asked := range []string{"prod/github", "prod/github-", "prod/github-othe"} {
		m := newManager()
		m.putText("prod/github", "made-up-value-one")
		m.alter = func(out *secretsmanager.GetSecretValueOutput) {
			out.Name, out.ARN = aws.String(other), aws.String(arnPrefix+other+"-GhIjKl")
		}
		if _, err := fetch(t, New(m, 0, time.Now), "aws-sm:"+asked, ""); !errors.Is(err, broker.ErrSecretMissing) {
			t.Errorf("%s answered by %s: %v, want ErrSecretMissing", asked, other, err)
		}
	}
}

func TestAnswerWithoutVersionIsRefused(t *testing.T) {
	m := newManager()
	m.putText("a", "made-up-value-one")
	m.alter = func(out *secretsmanager.GetSecretValueOutput) { out.VersionId = nil }
	if _, err := fetch(t, New(m, 0, time.Now), "aws-sm:a", ""); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
}

func TestBinarySecretIsTakenAsTextOrRefused(t *testing.T) {
	m := newManager()
	m.put("text", fakeVersion{binary: []byte("made-up-\u00e9-value")})
	found, err := fetch(t, New(m, 0, time.Now), "aws-sm:text", "")
	mustBe(t, found, err, "made-up-\u00e9-value")
	m.put("bytes", fakeVersion{binary: []byte("made-up-\xff-value")})
	m.put("nothing", fakeVersion{})
	for _, name := range []string{"bytes", "nothing"} {
		if _, err := fetch(t, New(m, 0, time.Now), "aws-sm:"+name, ""); !errors.Is(err, broker.ErrSecretMalformed) {
			t.Errorf("%s: %v, want ErrSecretMalformed", name, err)
		}
	}
}

// answered is an API error as the client gives it, with its HTTP status.
func answered(code string, status int) error {
	return &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}},
		Err:      &smithy.GenericAPIError{Code: code, Message: "canary-in-message"},
	}
}

func TestErrorsAreTranslatedAndOnlyTheCodePasses(t *testing.T) {
	for _, c := range []struct {
		err  error
		want error
		text string
	}{
		{&types.ResourceNotFoundException{Message: aws.String("canary-in-message")}, broker.ErrSecretMissing, "ResourceNotFoundException"},
		{&types.InvalidRequestException{Message: aws.String("canary-in-message")}, broker.ErrSecretMissing, "InvalidRequestException"},
		{&types.InvalidParameterException{}, broker.ErrSecretMissing, "InvalidParameterException"},
		{&types.DecryptionFailure{}, broker.ErrKeyUnavailable, "DecryptionFailure"},
		{&types.InternalServiceError{}, broker.ErrUnavailable, "InternalServiceError"},
		{answered("AccessDeniedException", 400), broker.ErrStoreDenied, "AccessDeniedException"},
		{answered("ExpiredTokenException", 403), broker.ErrStoreDenied, "ExpiredTokenException"},
		{answered("UnrecognizedClientException", 400), broker.ErrStoreDenied, "UnrecognizedClientException"},
		{answered("UnknownError", 403), broker.ErrStoreDenied, "UnknownError"},
		{answered("ThrottlingException", 400), broker.ErrUnavailable, "ThrottlingException"},
		{answered("AccessDeniedException", 503), broker.ErrUnavailable, "AccessDeniedException"},
		{answered("SlowDownPlease", 429), broker.ErrUnavailable, "SlowDownPlease"},
		{answered("canary-in-code https://x/?y", 400), broker.ErrStoreDenied, "unknown code"},
		{answered(strings.Repeat("a", 65), 400), broker.ErrStoreDenied, "unknown code"},
		{errors.New("Post \"https://canary/\": connection reset"), broker.ErrUnavailable, "no answer"},
		{context.DeadlineExceeded, broker.ErrUnavailable, "deadline"},
		{context.Canceled, broker.ErrUnavailable, "canceled"},
	} {
		m := newManager()
		m.putText("a", "made-up-value-one")
		m.before = func(context.Context, *secretsmanager.GetSecretValueInput) error { return c.err }
		_, err := fetch(t, New(m, 0, time.Now), "aws-sm:a", "")
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%v became %q, want %v with %q and nothing else of it", c.err, err, c.want, c.text)
		}
	}
}

func TestSlowStoreIsUnavailableAfterTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager()
		m.putText("a", "made-up-value-one")
		m.before = func(ctx context.Context, _ *secretsmanager.GetSecretValueInput) error {
			<-ctx.Done()
			return ctx.Err()
		}
		began := time.Now()
		_, err := fetch(t, New(m, 2*time.Second, time.Now), "aws-sm:a", "")
		if !errors.Is(err, broker.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want ErrUnavailable by deadline", err)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("it took %s, want 2s", took)
		}
	})
}
