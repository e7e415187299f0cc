//! Samples of minutes and stages of nights: windows cut them, and lose none.

use super::*;

/// A sample with the second it began at.
fn sampled(parts: &[Part]) -> Vec<(i64, Written)> {
    let mut all = Vec::new();
    for part in parts {
        let series = fields(&fields(&fields(part.text.reveal())["body"])["series"]);
        let covers = part.covers.unwrap();
        for (at, sample) in series {
            let at: i64 = at.parse().unwrap();
            assert!(covers.contains(Instant::from_second(at).unwrap()));
            let mut sample = data(&sample);
            for name in ["model", "model_id", "deviceid"] {
                assert!(sample.remove(name).is_some());
            }
            all.push((at, sample));
        }
    }
    sorted(all)
}

#[tokio::test]
async fn samples_arrive_once_however_the_time_is_cut() {
    let linked = Linked::new(300).await;
    let truth = linked.sim().intraday(ANNA).unwrap();
    let wanted: Vec<(i64, Written)> = truth.iter().map(|s| (s.at, written(&s.data))).collect();
    let now = linked.world.now();
    let (from, until) = ((now - 13 * DAY) / 3600 * 3600, now / 3600 * 3600);
    assert_eq!(sampled(&linked.stretch("getintradayactivity", from, until).await), wanted);
    // One long window, and windows whose cuts are on a sample.
    let long = Query::Window(interval(from, until));
    assert_eq!(sampled(&linked.read("getintradayactivity", long).await), wanted);
    let hour = wanted[wanted.len() / 2].0 / 3600 * 3600;
    let before = linked.read("getintradayactivity", Query::Window(interval(from, hour))).await;
    let after = linked.read("getintradayactivity", Query::Window(interval(hour, until))).await;
    assert_eq!([sampled(&before), sampled(&after)].concat(), wanted);
    // Every hour that has anything is covered by the parts of a window that touches it.
    for (at, _) in wanted.iter().step_by(97) {
        let parts = linked.read("getintradayactivity", Query::Window(interval(*at, at + 1))).await;
        let hour = interval(at / 3600 * 3600, at / 3600 * 3600 + 3600);
        let count =
            wanted.iter().filter(|(other, _)| hour.contains(Instant::from_second(*other).unwrap())).count();
        assert_eq!((parts.len(), parts[0].covers, sampled(&parts).len()), (1, Some(hour), count));
    }
}

/// A stage: device, begin, end, state and its samples.
type Staged = (String, i64, i64, i64, BTreeMap<String, BTreeMap<String, i64>>);

fn staged(parts: &[Part]) -> Vec<Staged> {
    #[derive(Deserialize)]
    struct Row {
        startdate: i64,
        enddate: i64,
        state: i64,
        hash_deviceid: String,
        #[serde(flatten)]
        rest: BTreeMap<String, serde_json::Value>,
    }
    let mut all = Vec::new();
    for part in parts {
        let body = fields(&fields(part.text.reveal())["body"]);
        assert!(matches!(body["model"].get(), "16" | "32"));
        let rows: Vec<Row> = serde_json::from_str(body["series"].get()).unwrap();
        for row in rows {
            let maps = row.rest.into_iter().filter(|(_, value)| value.is_object());
            let series = maps.map(|(name, map)| (name, serde_json::from_value(map).unwrap())).collect();
            all.push((row.hash_deviceid, row.startdate, row.enddate, row.state, series));
        }
    }
    sorted(all)
}

#[tokio::test]
async fn nights_arrive_once_and_uncut_however_the_time_is_cut() {
    let linked = Linked::new(300).await;
    let nights = linked.sim().nights(ANNA).unwrap();
    let mut wanted = Vec::new();
    for night in &nights {
        let device = linked.sim().device_id(ANNA, night.modelid).unwrap().unwrap();
        for stage in &night.stages {
            let series = stage.series.iter().map(|(name, samples)| {
                (name.clone(), samples.iter().map(|(at, value)| (at.to_string(), *value)).collect())
            });
            wanted.push((device.clone(), stage.startdate, stage.enddate, stage.state, series.collect()));
        }
    }
    let wanted: Vec<Staged> = sorted(wanted);
    let now = linked.world.now();
    let from = now - 13 * DAY;
    assert_eq!(staged(&linked.stretch("sleep-get", from, now).await), wanted);
    assert_eq!(staged(&linked.read("sleep-get", Query::Window(interval(from, now))).await), wanted);
    // Cut in the middle of a stage: it is in one of the two, whole.
    let middle = (wanted[40].1 + wanted[40].2) / 2;
    let before = staged(&linked.read("sleep-get", Query::Window(interval(from, middle))).await);
    let after = staged(&linked.read("sleep-get", Query::Window(interval(middle, now))).await);
    assert_eq!(sorted([before, after].concat()), wanted);
}
