package broker

import (
	"fmt"
	"slices"

	"bindery/shared/secret"
)

// Members gives what a Want asks of one stored secret: for the empty key the
// material as a whole, for any other key the top-level JSON member of that
// name, which must be a non-empty string. All of them, or ErrSecretMissing
// (the object has no such member) or ErrSecretMalformed.
func Members(material secret.Value, keys []string) (map[string]secret.Value, error) {
	if material.IsZero() {
		return nil, fmt.Errorf("%w: the secret is empty", ErrSecretMalformed)
	}
	members, err := membersFor(material, keys)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSecretMalformed, err)
	}
	wanted := make(map[string]secret.Value, len(keys))
	for _, key := range keys {
		value, ok := members[key]
		switch {
		case key == "":
			wanted[key] = material
		case !ok:
			return nil, fmt.Errorf("%w: the JSON object has no member of the wanted name", ErrSecretMissing)
		case value.IsZero():
			return nil, fmt.Errorf("%w: the wanted JSON member is not a non-empty string", ErrSecretMalformed)
		default:
			wanted[key] = value
		}
	}
	return wanted, nil
}

// WithMember gives material with the member of a key replaced, which it must have:
// for the empty key the value alone. It fails as Members does; a value that JSON
// cannot carry unchanged is ErrSecretMalformed.
func WithMember(material secret.Value, key string, value secret.Value) (secret.Value, error) {
	if key == "" {
		return value, nil
	}
	if _, err := Members(material, []string{key}); err != nil {
		return secret.Value{}, err
	}
	changed, err := material.WithMember(key, value)
	if err != nil {
		return secret.Value{}, fmt.Errorf("%w: %w", ErrSecretMalformed, err)
	}
	return changed, nil
}

// Earlier gives those of the wanted members that an earlier version of a
// secret has, for masking. What it does not have as a non-empty string could
// never be released under the same key, so it is left out without an error.
func Earlier(material secret.Value, keys []string) []secret.Value {
	if material.IsZero() {
		return nil
	}
	members, _ := membersFor(material, keys) // not an object: no members
	var values []secret.Value
	for _, key := range keys {
		value := members[key]
		if key == "" {
			value = material
		}
		if !value.IsZero() {
			values = append(values, value)
		}
	}
	return values
}

// membersFor parses the material only if a key asks for a member.
func membersFor(material secret.Value, keys []string) (map[string]secret.Value, error) {
	if !slices.ContainsFunc(keys, func(key string) bool { return key != "" }) {
		return nil, nil
	}
	return material.Members()
}
