package dynamo

import (
	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Streamed gives an item as Lambda hands it over from a table's stream in the
// form in which a table gives it. Kinds of attribute that no row has become a
// null, which decodes as nothing.
func Streamed(image map[string]events.DynamoDBAttributeValue) map[string]types.AttributeValue {
	item := make(map[string]types.AttributeValue, len(image))
	for name, v := range image {
		item[name] = streamed(v)
	}
	return item
}

func streamed(v events.DynamoDBAttributeValue) types.AttributeValue {
	switch v.DataType() {
	case events.DataTypeString:
		return &types.AttributeValueMemberS{Value: v.String()}
	case events.DataTypeNumber:
		return &types.AttributeValueMemberN{Value: v.Number()}
	case events.DataTypeBoolean:
		return &types.AttributeValueMemberBOOL{Value: v.Boolean()}
	case events.DataTypeList:
		var list []types.AttributeValue
		for _, one := range v.List() {
			list = append(list, streamed(one))
		}
		return &types.AttributeValueMemberL{Value: list}
	case events.DataTypeMap:
		return &types.AttributeValueMemberM{Value: Streamed(v.Map())}
	case events.DataTypeBinary:
		return &types.AttributeValueMemberB{Value: v.Binary()}
	case events.DataTypeNull, events.DataTypeBinarySet, events.DataTypeNumberSet, events.DataTypeStringSet:
	}
	return &types.AttributeValueMemberNULL{Value: true}
}
