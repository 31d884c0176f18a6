package checks

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"bindery/shared/telemetry"
)

// Watch is CloudWatch's side.
type Watch interface {
	DescribeAlarms(context.Context, *cloudwatch.DescribeAlarmsInput, ...func(*cloudwatch.Options)) (*cloudwatch.DescribeAlarmsOutput, error)
	ListMetrics(context.Context, *cloudwatch.ListMetricsInput, ...func(*cloudwatch.Options)) (*cloudwatch.ListMetricsOutput, error)
	GetMetricStatistics(context.Context, *cloudwatch.GetMetricStatisticsInput, ...func(*cloudwatch.Options)) (*cloudwatch.GetMetricStatisticsOutput, error)
}

// Topics is SNS's side.
type Topics interface {
	GetTopicAttributes(context.Context, *sns.GetTopicAttributesInput, ...func(*sns.Options)) (*sns.GetTopicAttributesOutput, error)
}

func watchChecks() []Check {
	return []Check{
		{"alarms", "every alarm of the stack exists, is switched on, and tells somebody who confirmed the subscription",
			"Give AlarmTopicArn, confirm the subscription, and switch the alarm's actions on.", alarms},
		{"metrics", "CloudWatch makes metrics of the functions' log lines (EMF in the JSON log format)",
			"Make a call, wait five minutes, and look for _aws in the proxy's log; docs/observability.md lists the metrics.", metrics},
		{"schedules", "the schedules wake their functions: cleanup is invoked every minute",
			"Read the schedule's state in EventBridge Scheduler, the role it assumes, and the queue of failures.", schedules},
	}
}

const alarmsAtOnce = 100

func alarms(ctx context.Context, s *Subject) (string, error) {
	stands := append(s.of("AWS::CloudWatch::Alarm"), s.of("AWS::CloudWatch::CompositeAlarm")...)
	if len(stands) == 0 {
		return "", leftOut("the stack has no alarm")
	}
	var names, wrong []string
	for _, r := range stands {
		names = append(names, r.Physical)
	}
	found, topics := map[string]bool{}, map[string]bool{}
	for some := range slices.Chunk(names, alarmsAtOnce) {
		out, err := s.Watch.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{AlarmNames: some, MaxRecords: aws.Int32(alarmsAtOnce),
			AlarmTypes: []types.AlarmType{types.AlarmTypeMetricAlarm, types.AlarmTypeCompositeAlarm}})
		if err != nil {
			return "", asked("describe the alarms", err)
		}
		note := func(name *string, on *bool, actions []string) {
			found[aws.ToString(name)] = true
			if !aws.ToBool(on) {
				wrong = append(wrong, aws.ToString(name)+" is switched off")
			}
			if len(actions) == 0 && s.Parameters["AlarmTopicArn"] != "" {
				wrong = append(wrong, aws.ToString(name)+" tells nobody")
			}
			for _, topic := range actions {
				topics[topic] = true
			}
		}
		for _, a := range out.MetricAlarms {
			note(a.AlarmName, a.ActionsEnabled, a.AlarmActions)
		}
		for _, a := range out.CompositeAlarms {
			note(a.AlarmName, a.ActionsEnabled, a.AlarmActions)
		}
	}
	for _, name := range names {
		if !found[name] {
			wrong = append(wrong, name+" does not exist")
		}
	}
	if s.Parameters["AlarmTopicArn"] == "" && len(wrong) == 0 {
		return "", leftOut("the alarms are there, and tell nobody: the stack was deployed without AlarmTopicArn")
	}
	more, err := s.unheard(ctx, topics)
	return fmt.Sprintf("%d alarms, %d topics with subscribers", len(names), len(topics)), firstOf(err, together(append(wrong, more...)))
}

// unheard lists the topics that nobody has subscribed to.
func (s *Subject) unheard(ctx context.Context, topics map[string]bool) (wrong []string, err error) {
	for topic := range topics {
		out, err := s.Topics.GetTopicAttributes(ctx, &sns.GetTopicAttributesInput{TopicArn: &topic})
		if err != nil {
			return nil, asked("read the topic of the alarms", err)
		}
		if n, err := strconv.Atoi(out.Attributes["SubscriptionsConfirmed"]); err != nil || n == 0 {
			wrong = append(wrong, "nobody has confirmed a subscription to the topic of the alarms")
		}
	}
	return wrong, nil
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func metrics(ctx context.Context, s *Subject) (string, error) {
	out, err := s.Watch.ListMetrics(ctx, &cloudwatch.ListMetricsInput{Namespace: aws.String(telemetry.Namespace),
		Dimensions: []types.DimensionFilter{{Name: aws.String(telemetry.Dimension), Value: aws.String(s.Environment)}}})
	if err != nil {
		return "", asked("list the metrics", err)
	}
	if len(out.Metrics) == 0 {
		return "", fmt.Errorf("there is no metric in the namespace %s", telemetry.Namespace)
	}
	return fmt.Sprintf("%d metrics", len(out.Metrics)), nil
}

const scheduleWindow = 15 * time.Minute

func schedules(ctx context.Context, s *Subject) (string, error) {
	out, err := s.Watch.GetMetricStatistics(ctx, &cloudwatch.GetMetricStatisticsInput{Namespace: aws.String("AWS/Lambda"), MetricName: aws.String("Invocations"),
		StartTime: aws.Time(time.Now().Add(-scheduleWindow)), EndTime: aws.Time(time.Now()), Period: aws.Int32(60), Statistics: []types.Statistic{types.StatisticSum},
		Dimensions: []types.Dimension{{Name: aws.String("FunctionName"), Value: aws.String(s.physical("AWS::Lambda::Function", "CleanupFunction"))}}})
	if err != nil {
		return "", asked("read how often functions are invoked", err)
	}
	sum := 0.0
	for _, p := range out.Datapoints {
		sum += aws.ToFloat64(p.Sum)
	}
	if sum == 0 {
		return "", fmt.Errorf("cleanup was not invoked in %d minutes; a stack that has just been deployed needs as many", int(scheduleWindow.Minutes()))
	}
	return fmt.Sprintf("cleanup was invoked %d times in %d minutes", int(sum), int(scheduleWindow.Minutes())), nil
}
