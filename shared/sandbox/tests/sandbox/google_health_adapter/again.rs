//! What reading again is for: there is no way to ask for what changed.

use ohx_sandbox::google_health::NewPoint;

use super::*;

#[tokio::test]
async fn late_changed_and_deleted_readings_are_seen_when_read_again() {
    let cloud = Cloud::new().await;
    cloud.sim.seed_daily(CARLA, 8).unwrap();
    let grant = cloud.connect(CARLA).await;
    let before = cloud.delivered(&grant, "steps", 8).await;
    // The band was out of reach for three days.
    let late = cloud.clock.now().as_second() - 3 * 86_400;
    let value = r#"{"count":"1000"}"#.to_owned();
    let point = NewPoint::new("steps", late, Some(late + 60), value).unwrap();
    cloud.sim.add_points(CARLA, vec![point]).unwrap();
    let overlap = cloud.spec("steps").overlap.as_secs() / 86_400;
    let after = cloud.delivered(&grant, "steps", i64::try_from(overlap).unwrap()).await;
    let changed: Vec<&String> = after.difference(&before).collect();
    assert_eq!(changed.len(), 1, "one day has another total");
    assert!(cloud.truth(CARLA, "steps").contains(changed[0]), "{changed:?}");

    let id = cloud.sim.weigh_now(CARLA, 72_150).unwrap();
    cloud.clock.advance(Duration::from_secs(60));
    let weights = async || {
        let parts = cloud.read(&grant, "weight", &cloud.last(3600)).await.unwrap();
        parts.iter().flat_map(|part| mapped("weight", part)).collect::<Vec<_>>()
    };
    assert!(weights().await[0].contains("72.150 kg"));
    cloud.sim.change(CARLA, "weight", &id, r#"{"weightGrams":71950}"#.to_owned()).unwrap();
    assert!(
        weights().await[0].starts_with(&format!("{id}.body-weight"))
            && weights().await[0].contains("71.950 kg")
    );
    cloud.sim.delete(CARLA, "weight", &id).unwrap();
    assert!(weights().await.is_empty());
}
