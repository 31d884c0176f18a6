package enforce

import "bindery/shared/brokertest/template"

// LeftToRoles is the policy that a key has unless somebody says otherwise: who may
// use it is what the roles of its account say.
func LeftToRoles() string { return keyPolicy("arn:aws:iam::" + template.AccountID + ":root") }

// OpenToAll is the policy of a key that everybody may use.
func OpenToAll() string { return keyPolicy("*") }

func keyPolicy(principal string) string {
	return `{"Version":"2012-10-17","Statement":[{"Sid":"Use","Effect":"Allow","Principal":{"AWS":"` + principal + `"},"Action":"kms:*","Resource":"*"}]}`
}
