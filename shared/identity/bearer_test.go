package identity

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
)

func TestNoTokenIsNotAnInvalidToken(t *testing.T) {
	w := newWorld(t, nil)
	for name, values := range map[string][]string{
		"none": nil, "basic": {"Basic dXNlcjpwYXNz"}, "dpop": {"DPoP abc"}, "empty": {""},
	} {
		_, err := w.Verify(context.Background(), request(values...), github)
		if !errors.Is(err, ErrMissingToken) || errors.Is(err, ErrInvalidToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMoreThanOneCredential(t *testing.T) {
	w := newWorld(t, nil)
	good := "Bearer " + w.token(nil)
	for name, test := range map[string]struct {
		values []string
		want   Reason
	}{
		"two headers":              {[]string{good, good}, HeaderRepeated},
		"basic in a second header": {[]string{good, "Basic dXNlcjpwYXNz"}, HeaderRepeated},
		"two tokens in one header": {[]string{good + ", " + good}, TokenMalformed},
		"basic before bearer":      {[]string{"Basic dXNlcjpwYXNz, " + good}, HeaderRepeated},
		"bearer before basic":      {[]string{good + ", Basic dXNlcjpwYXNz"}, TokenMalformed},
		"two spaces":               {[]string{"Bearer  " + good[7:]}, TokenMalformed},
		"no token":                 {[]string{"Bearer "}, TokenMalformed},
		"trailing space":           {[]string{good + " "}, TokenMalformed},
	} {
		_, err := w.Verify(context.Background(), request(test.values...), github)
		if ReasonOf(err) != test.want {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
	if _, err := w.Verify(context.Background(), request("bEARER "+good[7:]), github); err != nil {
		t.Errorf("the scheme has no case: %v", err)
	}
}

func TestTokenInTheQueryString(t *testing.T) {
	w := newWorld(t, nil)
	good := w.token(nil)
	for query, want := range map[string]Reason{
		"access_token=" + good:         TokenInQuery,
		"x=1&Access_Token=" + good:     TokenInQuery,
		"%61ccess_token=" + good:       TokenInQuery,
		"token=" + good:                TokenInQuery,
		"id_token=" + good:             TokenInQuery,
		"jwt":                          TokenInQuery,
		"a=1;access_token=" + good:     QueryMalformed,
		"access_token=" + good + "%zz": QueryMalformed,
	} {
		for _, header := range [][]string{nil, {"Bearer " + good}} {
			r := httptest.NewRequest("POST", publicURL+"/mcp/prod/github", nil)
			r.URL.RawQuery, r.Header["Authorization"] = query, header
			if _, err := w.Verify(context.Background(), r, github); !errors.Is(err, ErrInvalidToken) || ReasonOf(err) != want {
				t.Errorf("%.30s: %v, want %s", query, err, want)
			}
		}
	}
	r := request("Bearer " + good)
	r.URL.RawQuery = "tokens=3"
	if _, err := w.Verify(context.Background(), r, github); err != nil {
		t.Errorf("a harmless query: %v", err)
	}
}
