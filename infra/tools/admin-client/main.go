// Command admin-client does the whole life of a binding with a client that
// oapi-codegen made of the admin API's document. The client is not kept here: a
// test (tests/e2e) makes it beside a copy of this file, compiles both and runs
// them against the real API.
//
// It is told where the API is, a token and a value in the environment, and
// prints each step with the status it was answered.
package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
)

func main() {
	if err := life(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "admin-client:", err)
		os.Exit(1)
	}
}

// step wants one answer, and gives its tag.
func step(name string, want int, answer *http.Response, body []byte, err error) (string, error) {
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if answer.StatusCode != want {
		return "", fmt.Errorf("%s was answered %d, want %d: %.300s", name, answer.StatusCode, want, body)
	}
	fmt.Println(name, answer.StatusCode)
	return answer.Header.Get("ETag"), nil
}

func of[T any](v T) *T { return &v }

func life(ctx context.Context) error {
	c, err := NewClientWithResponses(os.Getenv("API"), WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+os.Getenv("TOKEN"))
		return nil
	}))
	if err != nil {
		return err
	}
	if err := prepare(ctx, c); err != nil {
		return err
	}
	return card(ctx, c)
}

// prepare registers a store, a server and a value for it.
func prepare(ctx context.Context, c *ClientWithResponses) error {
	store, err := c.PutStoreWithResponse(ctx, "sealed", &PutStoreParams{IfNoneMatch: of(PutStoreParamsIfNoneMatch("*"))},
		StoreBody{Kind: StoreBodyKindSealed, Paths: of([]string{"*"}), State: StoreBodyStateActive})
	if err != nil {
		return err
	}
	if _, err := step("put-store", 200, store.HTTPResponse, store.Body, nil); err != nil {
		return err
	}
	server, err := c.PutServerWithResponse(ctx, "notes", &PutServerParams{IfNoneMatch: of(PutServerParamsIfNoneMatch("*")), IdempotencyKey: of("life-1")},
		ServerBody{Owner: "dev", Url: os.Getenv("UPSTREAM"), State: ServerBodyStateActive,
			Attach: of([]Attachment{{In: Header, Name: of("Authorization"), Template: "Bearer {token}"}})})
	if err != nil {
		return err
	}
	if _, err := step("put-server", 200, server.HTTPResponse, server.Body, nil); err != nil {
		return err
	}
	value, err := c.PutValueWithResponse(ctx, "life", nil, ValueBody{Server: "notes", Value: of(os.Getenv("VALUE"))})
	if err != nil {
		return err
	}
	_, err = step("put-value", 200, value.HTTPResponse, value.Body, nil)
	return err
}

// card makes a binding, reads it, suspends it, reads its old version, resumes
// and deletes it.
func card(ctx context.Context, c *ClientWithResponses) error {
	body := BindingBody{Actor: Actor{Group: of("dev")}, Allow: Allow{Tools: of([]string{"*"})}, Mode: BindingBodyModeServiceAccount, Source: BindingBodySourceStatic,
		Fields: of([]Field{{Name: "token", Reference: "sealed:life"}}), Owner: "dev", State: BindingBodyStateActive}
	made, err := c.PutBindingWithResponse(ctx, "notes", "life", &PutBindingParams{IfNoneMatch: of(PutBindingParamsIfNoneMatch("*"))}, body)
	if err != nil {
		return err
	}
	tag, err := step("put-binding", 200, made.HTTPResponse, made.Body, nil)
	if err != nil {
		return err
	}
	for _, state := range []BindingBodyState{BindingBodyStateSuspended, BindingBodyStateActive} {
		body.State = state
		changed, err := c.PutBindingWithResponse(ctx, "notes", "life", &PutBindingParams{IfMatch: &tag}, body)
		if err != nil {
			return err
		}
		if tag, err = step("put-binding", 200, changed.HTTPResponse, changed.Body, nil); err != nil {
			return err
		}
	}
	if err := read(ctx, c, tag); err != nil {
		return err
	}
	deleted, err := c.DeleteBindingWithResponse(ctx, "notes", "life", &DeleteBindingParams{IfMatch: &tag})
	if err != nil {
		return err
	}
	if _, err = step("delete-binding", 204, deleted.HTTPResponse, deleted.Body, nil); err != nil {
		return err
	}
	gone, err := c.GetBindingWithResponse(ctx, "notes", "life")
	if err != nil {
		return err
	}
	if _, err = step("get-binding", 404, gone.HTTPResponse, gone.Body, nil); err != nil {
		return err
	}
	if gone.ApplicationproblemJSON404 == nil || gone.ApplicationproblemJSON404.Type != UrnBinderyProblemNotFound {
		return fmt.Errorf("the problem was not read: %.300s", gone.Body)
	}
	return nil
}

// read reads what is there now, and what was.
func read(ctx context.Context, c *ClientWithResponses, tag string) error {
	now, err := c.GetBindingWithResponse(ctx, "notes", "life")
	if err != nil {
		return err
	}
	if got, err := step("get-binding", 200, now.HTTPResponse, now.Body, nil); err != nil || got != tag {
		return fmt.Errorf("the binding has the tag %s, want %s: %w", got, tag, err)
	}
	if now.JSON200 == nil || now.JSON200.State != BindingViewStateActive || now.JSON200.Version != 3 || bytes.Contains(now.Body, []byte(os.Getenv("VALUE"))) {
		return fmt.Errorf("the binding is not what was made: %.300s", now.Body)
	}
	before, err := c.GetBindingVersionWithResponse(ctx, "notes", "life", 2)
	if err != nil {
		return err
	}
	if _, err := step("get-binding-version", 200, before.HTTPResponse, before.Body, nil); err != nil {
		return err
	}
	if before.JSON200 == nil || before.JSON200.State != BindingViewStateSuspended {
		return fmt.Errorf("the old version is not what was made: %.300s", before.Body)
	}
	return nil
}
