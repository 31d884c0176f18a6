package tests

import (
	"maps"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// readTemplate gives template.yaml and its nested files as one template: what a
// nested file is given stands in place of its parameters, its outputs in place of
// references to them, and what Globals says in each function.
func readTemplate(t *testing.T) object {
	t.Helper()
	whole := readFile(t, "template.yaml")
	resources, outputs := object{}, map[string]any{}
	for name, r := range whole.get(t, "Resources") {
		r := r.(object)
		if r["Type"] != "AWS::CloudFormation::Stack" {
			resources[name] = merged(r, whole.at("Globals"))
			continue
		}
		file := readFile(t, r.at("Properties").text("TemplateURL"))
		given := r.at("Properties").at("Parameters")
		same(t, "parameters of "+name, given.keys(), file.at("Parameters").keys())
		for condition, value := range file.at("Conditions") {
			value = substituted(value, given)
			if there, twice := whole.at("Conditions")[condition]; twice && !cmp.Equal(there, value) {
				t.Errorf("%s means something else in %s", condition, name)
			}
			whole.at("Conditions")[condition] = value
		}
		for inner, value := range file.get(t, "Resources") {
			if resources[inner] != nil {
				t.Errorf("there are two of %s", inner)
			}
			resources[inner] = substituted(value, given)
		}
		for output := range file.at("Outputs") {
			outputs[name+" Outputs."+output] = substituted(file.at("Outputs").at(output)["Value"], given)
		}
	}
	whole["Resources"] = resources
	arns := arnsOf(resources)
	for i := 0; i < 2; i++ { // what an output says may itself be an output
		whole = walk(whole, func(o object) any { return referred(o, outputs, arns) }).(object)
	}
	return whole
}

// merged is a resource with what Globals says of all functions.
func merged(r, globals object) object {
	if r["Type"] == "AWS::Serverless::Function" {
		r["Properties"] = over(globals.at("Function"), r.at("Properties"))
	}
	return r
}

// over is b, and what a says of the rest, as SAM merges Globals.
func over(a, b object) object {
	both := maps.Clone(a)
	for name, value := range b {
		if inner, ok := value.(object); ok && a.at(name) != nil {
			value = over(a.at(name), inner)
		}
		both[name] = value
	}
	return both
}

// walk replaces mappings from the inside out.
func walk(value any, change func(object) any) any {
	switch value := value.(type) {
	case object:
		o := object{}
		for name, inner := range value {
			o[name] = walk(inner, change)
		}
		return change(o)
	case []any:
		list := []any{}
		for _, inner := range value {
			list = append(list, walk(inner, change))
		}
		return list
	}
	return value
}

var variable = regexp.MustCompile(`\$\{(\w+)\}`)

// substituted puts what a nested file is given in place of its parameters.
func substituted(value any, given object) any {
	return walk(value, func(o object) any {
		if name, ok := o["Ref"].(string); ok && given[name] != nil {
			return plain(given[name])
		}
		text, ok := o["Fn::Sub"].(string)
		if !ok {
			return o
		}
		more := object{}
		text = variable.ReplaceAllStringFunc(text, func(of string) string {
			name := of[2 : len(of)-1]
			if value := given.at(name); value["Ref"] != nil {
				return "${" + value.text("Ref") + "}"
			} else if value != nil {
				more[name] = value
			}
			return of
		})
		if len(more) > 0 {
			return object{"Fn::Sub": []any{text, more}}
		}
		return object{"Fn::Sub": text}
	})
}

// plain is what a nested file is given without the forms that it needs for the
// way: a list is joined, and what may be missing is used where it is there.
func plain(value any) any {
	o, _ := value.(object)
	if join, ok := o["Fn::Join"].([]any); ok && join[0] == "," {
		return join[1]
	}
	if choice, ok := o["Fn::If"].([]any); ok && choice[2] == "" {
		return choice[1]
	}
	return value
}

// arnsOf gives the resource and the attribute that each ARN stands for which can
// be put together from a name.
func arnsOf(resources object) map[string]string {
	arns := map[string]string{}
	for id := range resources {
		for property, form := range map[string]string{"TableName": "dynamodb:#:table/%", "FunctionName": "lambda:#:function:%", "QueueName": "sqs:#:%", "LogGroupName": "logs:#:log-group:%:*"} {
			if name := resources.at(id).at("Properties").at(property).text("Fn::Sub"); name != "" {
				arns["arn:${AWS::Partition}:"+strings.NewReplacer("#", "${AWS::Region}:${AWS::AccountId}", "%", name).Replace(form)] = id
			}
		}
	}
	return arns
}

// referred puts references in place of outputs and of ARNs that name a resource,
// so that an ARN which names none stays what it is, and no test takes it for one.
func referred(o object, outputs map[string]any, arns map[string]string) any {
	if of, ok := o["Fn::GetAtt"].([]any); ok && outputs[textOf(of[0])+" "+textOf(of[1])] != nil {
		return outputs[textOf(of[0])+" "+textOf(of[1])]
	}
	text, ok := o["Fn::Sub"].(string)
	if !ok {
		return o
	}
	if id := arns[text]; id != "" {
		return object{"Fn::GetAtt": []any{id, "Arn"}}
	}
	for arn, id := range arns {
		if rest, ok := strings.CutPrefix(text, arn+"/"); ok {
			return object{"Fn::Sub": "${" + id + ".Arn}/" + rest}
		}
	}
	return o
}
