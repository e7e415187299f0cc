//! The template for AWS makes what the functions expect. (cfn-lint reads it in `make check`.)

use std::collections::BTreeMap;

use ohx_bus_sqs::Place;

const TEMPLATE: &str = include_str!("../../knative/lambda/template.yaml");

/// The resources by name, each as its text.
fn resources() -> BTreeMap<&'static str, &'static str> {
    let all = TEMPLATE.split_once("\nResources:\n").unwrap().1.split_once("\nOutputs:\n").unwrap().0;
    let mut starts: Vec<usize> = all
        .match_indices("\n  ")
        .map(|(at, _)| at + 1)
        .filter(|at| all[at + 2..].starts_with(|c: char| c.is_ascii_uppercase()))
        .collect();
    starts.push(all.len());
    starts.windows(2).map(|pair| all[pair[0]..pair[1]].trim().split_once(":\n").unwrap()).collect()
}

fn number(text: &str, key: &str) -> u32 {
    let after = text.split_once(&format!("{key}: ")).unwrap_or_else(|| panic!("{key} in {text}")).1;
    after.lines().next().unwrap().parse().unwrap()
}

#[test]
fn every_queue_is_there_and_read_so_that_nothing_is_lost() {
    let place = Place::new("http://127.0.0.1/0", "PREFIX", Some("x"), None).unwrap();
    let all = resources();
    let written = |name: &str| format!("QueueName: !Sub \"{}\"", name.replace("PREFIX", "${Prefix}"));
    let queues: BTreeMap<_, _> = all.iter().filter(|(_, text)| text.contains("AWS::SQS::Queue\n")).collect();
    assert_eq!(queues.len(), place.names().len() + 1);
    assert!(queues.values().any(|text| text.contains(&written(&place.dead()))));
    for name in place.names() {
        let (queue, text) = queues.iter().find(|(_, text)| text.contains(&written(&name))).expect(&name);
        assert!(text.contains("maxReceiveCount: 1000") && text.contains("DeletionPolicy: Retain"), "{name}");
        assert_eq!(number(text, "MessageRetentionPeriod"), 1_209_600);

        // Who reads it: without partial answers Lambda would delete what has to come again.
        let source = format!("EventSourceArn: !GetAtt {queue}.Arn");
        let mapping = all.values().find(|text| text.contains(&source)).expect(&name);
        assert!(mapping.contains("FunctionResponseTypes: [ReportBatchItemFailures]"), "{name}: {mapping}");
        let function = mapping.split_once("FunctionName: !Ref ").unwrap().1.lines().next().unwrap();
        let text_of = all[function];
        let expected = name.split('-').nth(1).unwrap();
        assert!(
            text_of.contains(&format!("CodeUri: ../../target/lambda/ohx-{expected}/")),
            "{name}: {function}"
        );
        assert!(text_of.contains(&format!("- !GetAtt {queue}.Arn")), "{function} may not read {queue}");
        // A batch is not handed to another process while this one may still have it; AWS demands it, too.
        assert!(number(text, "VisibilityTimeout") > number(text_of, "Timeout"), "{name}");
        assert!(number(text_of, "Timeout") > 240, "{function}: a delivery may take four minutes");
    }
}
