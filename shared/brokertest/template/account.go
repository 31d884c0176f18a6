package template

import (
	"encoding/json"
	"fmt"

	"bindery/shared/brokertest/iam"
)

// Account is what the stack brings into an account: every role that it deploys
// and the policies of its tables and keys.
func (s *Stack) Account() (iam.Account, error) {
	a := iam.Account{Roles: map[string]iam.Policy{}, Resources: map[string]iam.Policy{}}
	stacks, err := s.Stacks()
	if err != nil {
		return a, err
	}
	for _, one := range stacks {
		if err := one.addRoles(a.Roles); err != nil {
			return a, err
		}
		if err := one.addManaged(a.Roles); err != nil {
			return a, err
		}
		for kind, property := range map[string]string{"AWS::DynamoDB::Table": "ResourcePolicy", "AWS::KMS::Key": "KeyPolicy"} {
			if err := one.addPolicies(a.Resources, kind, property); err != nil {
				return a, err
			}
		}
	}
	return a, nil
}

func (s *Stack) addRoles(to map[string]iam.Policy) error {
	for _, name := range s.Resources("AWS::IAM::Role") {
		if deployed, err := s.Has(name); err != nil || !deployed {
			if err != nil {
				return err
			}
			continue
		}
		arn, err := s.ARN(name)
		if err != nil {
			return err
		}
		for _, elsewhere := range []string{"ManagedPolicyArns", "PermissionsBoundary"} {
			if value, err := s.Property(name, elsewhere); err != nil || value != nil {
				return fmt.Errorf("%s: %s has %s, whose text is not here: %w", s.file, name, elsewhere, err)
			}
		}
		inline, err := s.Property(name, "Policies")
		if err != nil {
			return err
		}
		var whole iam.Policy
		documents, _ := inline.([]any)
		for _, document := range documents {
			p, err := policy(members(document)["PolicyDocument"], false)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", s.file, name, err)
			}
			whole.Statements = append(whole.Statements, p.Statements...)
		}
		to[arn] = whole
	}
	return nil
}

// addManaged adds the policies that several roles of this stack share.
func (s *Stack) addManaged(to map[string]iam.Policy) error {
	for _, name := range s.Resources("AWS::IAM::ManagedPolicy") {
		if deployed, err := s.Has(name); err != nil || !deployed {
			if err != nil {
				return err
			}
			continue
		}
		document, err := s.Property(name, "PolicyDocument")
		if err != nil {
			return err
		}
		shared, err := policy(document, false)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", s.file, name, err)
		}
		attached, err := s.Property(name, "Roles")
		if err != nil {
			return err
		}
		roles, _ := attached.([]any)
		for _, role := range roles {
			arn := fmt.Sprintf("arn:aws:iam::%s:role/%v", AccountID, role)
			own, ok := to[arn]
			if !ok {
				return fmt.Errorf("%s: %s is for %v, which is no role of the stack", s.file, name, role)
			}
			own.Statements = append(own.Statements, shared.Statements...)
			to[arn] = own
		}
	}
	return nil
}

func (s *Stack) addPolicies(to map[string]iam.Policy, kind, property string) error {
	for _, name := range s.Resources(kind) {
		document, err := s.Property(name, property)
		if err != nil {
			return err
		}
		if inner, wrapped := members(document)["PolicyDocument"]; wrapped {
			document = inner
		}
		arn, err := s.ARN(name)
		if err != nil || document == nil {
			if err != nil {
				return err
			}
			continue
		}
		if to[arn], err = policy(document, true); err != nil {
			return fmt.Errorf("%s: %s: %w", s.file, name, err)
		}
	}
	return nil
}

func policy(document any, ofResource bool) (iam.Policy, error) {
	text, err := json.Marshal(document)
	if err != nil {
		return iam.Policy{}, err
	}
	return iam.Parse(text, ofResource)
}

// RoleOf is the ARN of a function's role, by the function's name in the template.
func (s *Stack) RoleOf(function string) (string, error) {
	role, err := s.Property(function, "Role")
	if err != nil {
		return "", err
	}
	arn, ok := role.(string)
	if !ok {
		return "", fmt.Errorf("%s: %s has no role of its own", s.file, function)
	}
	return arn, nil
}
