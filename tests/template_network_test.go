package tests

import "testing"

// TestTemplateCodeConnectsNothing: where the functions run in a VPC, Lambda makes
// their interfaces in the name of their roles, and whoever takes over the code of
// one makes none. Elsewhere nobody has the right.
func TestTemplateCodeConnectsNothing(t *testing.T) {
	template := readTemplate(t)
	policy := template.resource(t, "NetworkInterfaces")
	same(t, "only in a VPC", template.at("Conditions").at(policy.text("Condition")),
		object{"Fn::Equals": []any{object{"Fn::If": []any{"HasVpc", "true", "false"}}, "true"}})
	interfaces := []any{"ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
		"ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses"}
	same(t, "statements", statements(policy.get(t, "Properties", "PolicyDocument")), []object{
		{"Sid": "ConnectFunctions", "Effect": "Allow", "Action": interfaces, "Resource": "*"},
		{"Sid": "CodeConnectsNothing", "Effect": "Deny", "Action": interfaces, "Resource": "*", "Condition": object{"ArnLike": object{
			"lambda:SourceFunctionArn": object{"Fn::Sub": "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${AWS::StackName}-*"}}}},
	})
	var named, functions []string
	for _, role := range policy.get(t, "Properties").list("Roles") {
		if choice, ok := role.(object)["Fn::If"].([]any); ok {
			same(t, "condition of a role", choice[0], any("HasAuthorizer"))
			role = choice[1]
		}
		named = append(named, role.(object).text("Ref"))
	}
	for name := range template.get(t, "Resources") {
		if r := template.resource(t, name); r["Type"] == "AWS::Serverless::Function" {
			functions = append(functions, r.at("Properties").at("Role")["Fn::GetAtt"].([]any)[0].(string))
			same(t, name, r.at("Properties")["VpcConfig"], any(object{"Fn::If": []any{"HasVpc",
				object{"SubnetIds": object{"Ref": "SubnetIds"}, "SecurityGroupIds": object{"Ref": "SecurityGroupIds"}}, object{"Ref": "AWS::NoValue"}}}))
		}
	}
	same(t, "roles", sorted(named), sorted(functions))
}

// TestTemplateFirewallStandsBeforeTheAPI where one is given.
func TestTemplateFirewallStandsBeforeTheAPI(t *testing.T) {
	association := readTemplate(t).resource(t, "WebAcl")
	same(t, "condition", association["Condition"], any("HasWebAcl"))
	same(t, "association", association.get(t, "Properties"), object{"WebACLArn": object{"Ref": "WebAclArn"},
		"ResourceArn": object{"Fn::Sub": "arn:${AWS::Partition}:apigateway:${AWS::Region}::/restapis/${Api}/stages/${Api.Stage}"}})
}

// TestTemplateTracesOnlyWhereTold: without X-Ray no role may write to it.
func TestTemplateTracesOnlyWhereTold(t *testing.T) {
	template := readTemplate(t)
	for name := range template.get(t, "Resources") {
		role := template.resource(t, name)
		if role["Type"] != "AWS::IAM::Role" {
			continue
		}
		for _, s := range role.at("Properties").list("Policies")[0].(object).get(t, "PolicyDocument").list("Statement") {
			conditional := s.(object)["Fn::If"]
			if s.(object)["Sid"] == "WriteTrace" || conditional != nil && conditional.([]any)[1].(object)["Sid"] == "WriteTrace" && conditional.([]any)[0] != "IsTraced" {
				t.Errorf("%s writes traces where nobody wants them", name)
			}
		}
	}
	same(t, "API", template.resource(t, "Api").get(t, "Properties")["TracingEnabled"], any(object{"Fn::If": []any{"IsTraced", true, false}}))
}

// TestTemplateEventsOfStoresAreNotLost: one that cannot be delivered is tried as
// long as the function itself would, and ends in a queue that only its rule fills.
func TestTemplateEventsOfStoresAreNotLost(t *testing.T) {
	template := readTemplate(t)
	queue := object{"Fn::GetAtt": []any{"StoreChangeFailures", "Arn"}}
	rule := template.events(t, "RotationFunction")["StoreChange"]
	same(t, "queue of the rule", rule["DeadLetterConfig"], any(object{"Arn": queue}))
	same(t, "age", rule.at("RetryPolicy")["MaximumEventAgeInSeconds"],
		template.resource(t, "RotationFunction").get(t, "Properties", "EventInvokeConfig")["MaximumEventAgeInSeconds"])
	same(t, "queue", template.resource(t, "StoreChangeFailures").get(t, "Properties"), queueOf("store-change"))
	policy := template.resource(t, "StoreChangeFailuresPolicy").get(t, "Properties")
	same(t, "of the queue", policy["Queues"], any([]any{object{"Ref": "StoreChangeFailures"}}))
	same(t, "who fills it", statements(policy.at("PolicyDocument")), []object{{"Effect": "Allow", "Principal": object{"Service": "events.amazonaws.com"},
		"Action": "sqs:SendMessage", "Resource": queue,
		"Condition": object{"ArnEquals": object{"aws:SourceArn": object{"Fn::GetAtt": []any{"RotationFunctionStoreChange", "Arn"}}}}}})
}

// TestTemplateReservesExecutions for functions that a flood must not starve.
func TestTemplateReservesExecutions(t *testing.T) {
	template := readTemplate(t)
	for function, parameter := range map[string]string{"ProxyFunction": "ReservedConcurrency", "AuthorizerFunction": "AuthorizerConcurrency", "AdminFunction": "AdminConcurrency"} {
		same(t, function, template.resource(t, function).get(t, "Properties")["ReservedConcurrentExecutions"],
			any(object{"Fn::If": []any{"Has" + parameter, object{"Ref": parameter}, object{"Ref": "AWS::NoValue"}}}))
	}
}

// TestTemplateKeyAdministrators: those that are listed, and no one else.
func TestTemplateKeyAdministrators(t *testing.T) {
	for _, s := range statements(readTemplate(t).resource(t, "ValuesKey").get(t, "Properties", "KeyPolicy")) {
		if s["Sid"] == "Administer" {
			same(t, "principals", s.at("Principal")["AWS"], any(object{"Fn::If": []any{"HasKeyAdministrators",
				object{"Fn::Split": []any{",", object{"Ref": "KeyAdministrators"}}}, object{"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}}))
			return
		}
	}
	t.Error("nobody administers the key")
}
