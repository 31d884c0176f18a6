package apigateway

import (
	"crypto/rand"
	"encoding/base64"
	"maps"
	"net"
	"net/http"
	"strings"

	"github.com/aws/aws-lambda-go/events"
)

// The API's own names, in events and ARNs.
const (
	stage  = "live"
	apiARN = "arn:aws:execute-api:us-east-1:111122223333:a1b2c3d4e5/" + stage + "/"
)

// event is a proxy event of version 1.
type event struct{ events.APIGatewayProxyRequest }

func newEvent(r *http.Request, resource string, parameters map[string]string) *event {
	address, _, _ := net.SplitHostPort(r.RemoteAddr)
	header := maps.Clone(r.Header)
	header["Host"] = []string{r.Host}
	header["X-Forwarded-For"] = append(header["X-Forwarded-For"], address)
	header["X-Forwarded-Proto"], header["X-Forwarded-Port"] = []string{"https"}, []string{"443"}
	query := map[string][]string(r.URL.Query())
	return &event{events.APIGatewayProxyRequest{
		Resource: resource, Path: r.URL.EscapedPath(), HTTPMethod: r.Method,
		Headers: last(header), MultiValueHeaders: header,
		QueryStringParameters: last(query), MultiValueQueryStringParameters: query,
		PathParameters: parameters,
		RequestContext: events.APIGatewayProxyRequestContext{
			AccountID: "111122223333", APIID: "a1b2c3d4e5", Stage: stage, ResourcePath: resource, HTTPMethod: r.Method,
			Path: r.URL.EscapedPath(), DomainName: r.Host, RequestID: rand.Text(), Protocol: r.Proto,
			Identity: events.APIGatewayRequestIdentity{SourceIP: address, UserAgent: r.UserAgent()},
		},
	}}
}

// take adds a body. Every media type is binary (BinaryMediaTypes */*).
func (e *event) take(body []byte) {
	if len(body) > 0 {
		e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
}

// question is the event for a REQUEST authorizer.
func (e *event) question() events.APIGatewayCustomAuthorizerRequestTypeRequest {
	c := e.RequestContext
	return events.APIGatewayCustomAuthorizerRequestTypeRequest{
		Type: "REQUEST", MethodArn: e.arn(), Resource: e.Resource, Path: e.Path, HTTPMethod: e.HTTPMethod,
		Headers: e.Headers, MultiValueHeaders: e.MultiValueHeaders, QueryStringParameters: e.QueryStringParameters,
		MultiValueQueryStringParameters: e.MultiValueQueryStringParameters, PathParameters: e.PathParameters,
		RequestContext: events.APIGatewayCustomAuthorizerRequestTypeRequestContext{
			Path: c.Path, AccountID: c.AccountID, Stage: c.Stage, RequestID: c.RequestID, ResourcePath: c.ResourcePath,
			HTTPMethod: c.HTTPMethod, APIID: c.APIID,
			Identity: events.APIGatewayCustomAuthorizerRequestTypeRequestIdentity{SourceIP: c.Identity.SourceIP},
		},
	}
}

func (e *event) arn() string { return apiARN + e.HTTPMethod + e.Path }

// identity is the value of one identity source.
func (e *event) identity(source string) string {
	if source == "context.path" {
		return e.RequestContext.Path
	}
	if name, ok := strings.CutPrefix(source, "method.request.header."); ok {
		return strings.Join(http.Header(e.MultiValueHeaders).Values(name), ",")
	}
	return ""
}

func last(of map[string][]string) map[string]string {
	single := map[string]string{}
	for name, values := range of {
		if len(values) > 0 {
			single[name] = values[len(values)-1]
		}
	}
	return single
}
