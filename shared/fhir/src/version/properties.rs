use super::tests::{OLD, convert_to_old, sampled};
use super::*;
use proptest::prelude::*;

/// Members that are looked at, in any shape.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,40})?([eE][+-]?[0-9]{1,12})?",
        ".{0,6}".prop_map(|text| quote(&text)),
        "[0-9.eE -]{0,12}".prop_map(|text| quote(&text)),
        prop::sample::select(vec![
            "ms",
            "s",
            "us",
            "registered-name",
            "instantiates",
            "Device",
            "Observation"
        ])
        .prop_map(quote),
    ];
    let name = prop::sample::select(vec![
        "resourceType",
        "contained",
        "component",
        "valueSampledData",
        "interval",
        "intervalUnit",
        "offsets",
        "data",
        "dimensions",
        "codeMap",
        "referenceRange",
        "normalValue",
        "displayName",
        "name",
        "value",
        "type",
        "display",
        "definition",
        "concept",
        "reference",
        "text",
        "coding",
        "conformsTo",
        "specification",
        "version",
        "property",
        "valueQuantity",
        "valueString",
        "_valueString",
        "manufacturer",
        "classification",
        "recorded",
        "authorization",
        "entity",
        "role",
        "deviceName",
        "period",
        "udiCarrier",
        "x",
    ]);
    leaf.prop_recursive(6, 60, 6, move |inner| {
        let members = prop::collection::btree_map(name.clone(), inner.clone(), 0..6).prop_map(|members| {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("{}:{value}", quote(name))).collect();
            format!("{{{}}}", members.join(","))
        });
        prop_oneof![
            3 => members,
            1 => prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever it is given, it answers; and what it answers is JSON that can be edited on.
    #[test]
    fn nothing_makes_it_panic(kind in prop::sample::select(vec!["Observation", "Device", "DeviceDefinition", "Provenance", "DeviceAssociation", "x"]), rest in any_json()) {
        for text in [rest.clone(), rest.replacen('{', &format!("{{\"resourceType\":{},", quote(kind)), 1).replace(",}", "}")] {
            let Ok(resource) = RawValue::from_string(text) else { continue };
            for version in OLD {
                if let Ok(Converted::Resource { resource, .. }) = convert(version, &resource) {
                    prop_assert!(Object::parse(&resource).is_ok());
                }
            }
        }
    }

    /// Every decimal of a reading stands in R4 with the digits that it has in R5.
    #[test]
    fn every_decimal_keeps_its_digits(numbers in prop::collection::vec("-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", 7)) {
        let [a, b, c, d, e, f, g] = numbers.as_slice() else { unreachable!() };
        let text = format!(
            r#"{{"resourceType":"Observation","triggeredBy":[],"valueQuantity":{{"value":{a}}},"referenceRange":[{{"low":{{"value":{b}}},"normalValue":{{}}}}],"component":[{{"valueQuantity":{{"value":{c}}}}},{{"valueSampledData":{{"origin":{{"value":{d}}},"interval":{e},"intervalUnit":"ms","factor":{f},"dimensions":1,"data":"{g} {a}"}}}}]}}"#
        );
        let (text, _) = convert_to_old(&text).unwrap();
        prop_assert_eq!(text, format!(
            r#"{{"resourceType":"Observation","valueQuantity":{{"value":{a}}},"referenceRange":[{{"low":{{"value":{b}}}}}],"component":[{{"valueQuantity":{{"value":{c}}}}},{{"valueSampledData":{{"origin":{{"value":{d}}},"period":{e},"factor":{f},"dimensions":1,"data":"{g} {a}"}}}}]}}"#
        ));
    }

    /// Samples at times of their own: each stands at its time in R4, and at every other time there is nothing.
    #[test]
    fn every_sample_stands_at_its_time(times in prop::collection::btree_set(0_u32..5000, 1..60), step in 1_u32..90) {
        let offsets: Vec<String> = times.iter().map(|t| (t * step).to_string()).collect();
        let data: Vec<String> = times.iter().map(|t| format!("{t}.50")).collect();
        let text = sampled(&format!(r#""offsets":"{}","intervalUnit":"s","data":"{}""#, offsets.join(" "), data.join(" ")));
        let (text, _) = convert_to_old(&text).unwrap();
        let (_, after) = text.split_once(r#""period":"#).unwrap();
        let (period, after) = after.split_once(r#","data":""#).unwrap();
        let period: u64 = period.parse().unwrap();
        let (data, _) = after.split_once('"').unwrap();
        let found: Vec<(u64, &str)> = (0..).zip(data.split(' ')).filter(|(_, v)| *v != "E").map(|(n, v)| (n * period, v)).collect();
        let wanted: Vec<(u64, String)> = times.iter().map(|t| (u64::from(t * step) * 1000, format!("{t}.50"))).collect();
        prop_assert_eq!(found.len(), wanted.len());
        for ((at, value), (wanted_at, wanted_value)) in found.iter().zip(&wanted) {
            prop_assert_eq!((at, *value), (wanted_at, wanted_value.as_str()));
        }
    }
}
