package awsclient_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"bindery/shared/awsclient"
)

// TestWithinKeepsHowAClientConnects: the certificates of AWS_CA_BUNDLE are there, too.
func TestWithinKeepsHowAClientConnects(t *testing.T) {
	asked := errors.New("asked as it was set")
	configured := awshttp.NewBuildableClient().WithTransportOptions(func(u *http.Transport) {
		u.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, asked }
	})
	for name, given := range map[string]aws.HTTPClient{"the SDK's": configured, "whole": awsclient.Whole(configured), "limited": awsclient.Within(configured, time.Hour)} {
		_, err := client("http://127.0.0.1:1", awsclient.Within(given, time.Minute)).DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String("k")})
		if !errors.Is(err, asked) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
