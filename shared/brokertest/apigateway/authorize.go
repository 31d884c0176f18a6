package apigateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"bindery/shared/brokertest/runtimeapi"
)

// remembered is an answer of the authorizer and how long it counts.
type remembered struct {
	events.APIGatewayCustomAuthorizerResponse
	until time.Time
}

// authorize applies the authorizer's policy to a request, a remembered one if
// there is one for the same identity sources. It gives what the function is
// told about it. An error of the authorizer is not remembered.
func (g *Gateway) authorize(ctx context.Context, r *http.Request, e *event) (map[string]any, *gatewayError) {
	var identity []string
	for _, source := range g.authorizer.sources {
		value := e.identity(source)
		if value == "" { // nobody is asked
			return nil, &gatewayError{"UNAUTHORIZED", http.StatusUnauthorized, nil}
		}
		identity = append(identity, value)
	}
	key := strings.Join(identity, "\x00")
	g.mu.Lock()
	said, ok := g.remembered[key]
	g.mu.Unlock()
	if !ok || !time.Now().Before(said.until) {
		var refused *gatewayError
		if said.APIGatewayCustomAuthorizerResponse, refused = g.ask(ctx, e); refused != nil {
			return nil, refused
		}
		said.until = time.Now().Add(g.authorizer.life)
		g.mu.Lock()
		g.remembered[key] = said
		g.mu.Unlock()
	}
	if !permits(said.PolicyDocument.Statement, e.arn()) {
		return nil, &gatewayError{"ACCESS_DENIED", http.StatusForbidden, said.Context}
	}
	told := map[string]any{"principalId": said.PrincipalID}
	for name, value := range said.Context {
		told[name] = value
	}
	return told, nil
}

// ask invokes the authorizer. Errors are told apart by their message alone.
func (g *Gateway) ask(ctx context.Context, e *event) (answer events.APIGatewayCustomAuthorizerResponse, refused *gatewayError) {
	failed := &gatewayError{"AUTHORIZER_FAILURE", http.StatusInternalServerError, nil}
	text, err := json.Marshal(e.question())
	if err != nil {
		return answer, failed
	}
	response, err := g.asked.Invoke(ctx, text)
	var fault *runtimeapi.FunctionError
	if errors.As(err, &fault) {
		var report struct{ ErrorMessage string }
		if json.Unmarshal(fault.Payload, &report) == nil && report.ErrorMessage == "Unauthorized" {
			return answer, &gatewayError{"UNAUTHORIZED", http.StatusUnauthorized, nil}
		}
	}
	if err != nil {
		return answer, failed
	}
	if json.Unmarshal(response.Raw, &answer) != nil || answer.PrincipalID == "" || len(answer.PolicyDocument.Statement) == 0 {
		return answer, &gatewayError{"AUTHORIZER_CONFIGURATION_ERROR", http.StatusInternalServerError, nil}
	}
	return answer, nil
}

// permits evaluates a policy as IAM does: a denial wins, and what no statement
// allows is denied.
func permits(statements []events.IAMPolicyStatement, arn string) bool {
	allowed := false
	for _, s := range statements {
		if !slices.ContainsFunc(s.Resource, func(pattern string) bool { return covers(pattern, arn) }) {
			continue
		}
		if s.Effect != "Allow" {
			return false
		}
		allowed = true
	}
	return allowed
}

// covers compares with the wildcards of IAM, which know no separator.
func covers(pattern, arn string) bool {
	flat := strings.NewReplacer("/", "|", "[", "(", "\\", "!")
	ok, err := path.Match(flat.Replace(pattern), flat.Replace(arn))
	return err == nil && ok
}
