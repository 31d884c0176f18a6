package enforce

import (
	"fmt"
	"regexp"
	"strings"
)

// leadingKeys is the condition key of the partitions that a request reaches.
const leadingKeys = "dynamodb:leadingkeys"

// readDynamoDB tells the tables and partitions that a request reaches. A
// transaction needs the right to each of its parts; a batch has one question for
// each of its tables, with the partitions of all its keys.
func readDynamoDB(operation string, in map[string]any) ([]question, error) {
	switch operation {
	case "BatchGetItem":
		return perTable(operation, in, func(asked any) (all []any) { return list(members(asked)["Keys"]) })
	case "BatchWriteItem":
		return perTable(operation, in, func(asked any) (all []any) {
			for _, write := range list(asked) {
				all = append(all, members(members(write)["PutRequest"])["Item"], members(members(write)["DeleteRequest"])["Key"])
			}
			return all
		})
	case "TransactWriteItems", "TransactGetItems":
		return parts(in)
	case "ExecuteStatement":
		return statement(text(in, "Statement"))
	case "ExecuteTransaction", "BatchExecuteStatement":
		return nil, fmt.Errorf("%s is not known", operation)
	}
	return []question{one(operation, in)}, nil
}

// one is a request for items of one table, or for the table.
func one(operation string, in map[string]any) question {
	q := question{"dynamodb:" + operation, "*", map[string][]string{}}
	if table := text(in, "TableName"); table != "" {
		q.resource = tableARN(table)
	}
	hash := "pk"
	if index := text(in, "IndexName"); index != "" {
		q.resource += "/index/" + index
		hash = index // whose partition key has its name
	}
	switch operation {
	case "Query":
		q.lead(queried(in, hash))
	case "PutItem":
		q.lead(partition(in["Item"]))
	case "GetItem", "UpdateItem", "DeleteItem", "ConditionCheckItem":
		q.lead(partition(in["Key"]))
	}
	return q
}

func (q question) lead(partition string) {
	if partition != "" {
		q.keys[leadingKeys] = append(q.keys[leadingKeys], partition)
	}
}

func tableARN(name string) string {
	if strings.HasPrefix(name, "arn:") {
		return name
	}
	return arn("dynamodb", "table/"+name)
}

// partition is the partition key of an item or of its key.
func partition(item any) string { return text(members(members(item)["pk"]), "S") }

var equality = regexp.MustCompile(`([#\w]+)\s*=\s*(:\w+)`)

// queried is the partition that a query names: exactly one.
func queried(in map[string]any, hash string) string {
	for _, found := range equality.FindAllStringSubmatch(text(in, "KeyConditionExpression"), -1) {
		name := found[1]
		if real := text(members(in["ExpressionAttributeNames"]), name); real != "" {
			name = real
		}
		if name == hash {
			return text(members(members(in["ExpressionAttributeValues"])[found[2]]), "S")
		}
	}
	return ""
}

func perTable(operation string, in map[string]any, items func(any) []any) (questions []question, err error) {
	for table, asked := range members(in["RequestItems"]) {
		q := question{"dynamodb:" + operation, tableARN(table), map[string][]string{}}
		for _, item := range items(asked) {
			q.lead(partition(item))
		}
		questions = append(questions, q)
	}
	if len(questions) == 0 {
		return nil, fmt.Errorf("%s of nothing", operation)
	}
	return questions, nil
}

// parts of a transaction, each an object with one member: Put, Delete, and so on.
func parts(in map[string]any) (questions []question, err error) {
	for _, part := range list(in["TransactItems"]) {
		for kind, asked := range members(part) {
			operation, ok := map[string]string{"Get": "GetItem", "Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}[kind]
			if !ok {
				return nil, fmt.Errorf("the part %s of a transaction is not known", kind)
			}
			questions = append(questions, one(operation, members(asked)))
		}
	}
	if len(questions) == 0 {
		return nil, fmt.Errorf("a transaction of nothing")
	}
	return questions, nil
}

var partiQL = regexp.MustCompile(`(?i)^\s*(select|insert|update|delete)\b.*?"([A-Za-z0-9_.-]+)"`)

// statement reads as much of PartiQL as it takes to tell verb and table.
func statement(said string) ([]question, error) {
	found := partiQL.FindStringSubmatch(said)
	if found == nil {
		return nil, fmt.Errorf("a statement of PartiQL that cannot be read")
	}
	verb := strings.ToUpper(found[1][:1]) + strings.ToLower(found[1][1:])
	return []question{{"dynamodb:PartiQL" + verb, tableARN(found[2]), map[string][]string{}}}, nil
}
