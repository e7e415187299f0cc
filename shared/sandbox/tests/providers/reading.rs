//! Promises about what is read.

use ohx_sandbox::Reading;

use crate::world::{Cloud, DAY, World};

/// Those of these seconds.
fn of(readings: &[Reading], seconds: &[i64]) -> Vec<Reading> {
    readings.iter().filter(|reading| seconds.contains(&reading.date)).cloned().collect()
}

/// Over pages of any size no record is lost, none comes twice, and each is byte for byte what the provider sent (digit for
/// digit, where it is put into other words).
pub(crate) async fn page<C: Cloud>() {
    for (page_size, least) in [(5, 5), (23, 1), (1000, 1)] {
        let world = World::<C>::with(page_size, 100_000).await;
        world.seed(23);
        let grant = world.connect().await;
        let read = world.recent(&grant).await.unwrap();
        read.is(&world.cloud.truth());
        assert!(read.pages.len() >= least, "{} pages", read.pages.len());
        assert_eq!(read.skipped.values().sum::<u64>(), 0, "{:?}", read.skipped);
        let records = read.records();
        assert_eq!(records.len(), 23);
        assert_eq!(read.pages.iter().map(|page| page.records).sum::<u64>(), 23);
        let sent = world.front.bodies();
        for record in records.iter().filter(|_| C::ABOUT.verbatim) {
            assert!(sent.iter().any(|body| body.contains(record)), "not as it was sent");
        }
    }
}

/// A second run brings the overlap, and nothing from before it.
pub(crate) async fn incremental<C: Cloud>() {
    let world = World::<C>::new().await;
    let overlap = i64::try_from(world.spec().overlap.as_secs()).unwrap();
    let old = world.now() - 3600;
    world.cloud.add(old, 1);
    world.advance(overlap + 2 * DAY);
    let recent = world.now() - 3600;
    world.cloud.add(recent, 2);
    let grant = world.connect().await;
    let (first, cursor) = world.first(&grant).await;
    first.is(&world.cloud.truth());
    for _ in 0..2 {
        world.again(&grant, cursor).await.is(&of(&world.cloud.truth(), &[recent]));
    }
    world.advance(600);
    let new = world.now() - 60;
    world.cloud.add(new, 3);
    world.again(&grant, cursor).await.is(&of(&world.cloud.truth(), &[recent, new]));
}

/// A reading that its device uploads days after it was measured arrives with the next run.
pub(crate) async fn late_data<C: Cloud>() {
    let world = World::<C>::new().await;
    let spec = world.spec();
    // Where changes are told, the time of measuring does not matter; else it has to be within the overlap.
    let overlap = i64::try_from(spec.overlap.as_secs()).unwrap();
    let days = if spec.changes { 30 } else { overlap / DAY - 1 };
    assert!(days >= 2);
    world.cloud.add(world.now() - 3600, 1);
    let grant = world.connect().await;
    let (first, cursor) = world.first(&grant).await;
    first.is(&world.cloud.truth());
    world.advance(600);
    let late = world.now() - days * DAY;
    world.cloud.add(late, 2);
    let second = world.again(&grant, cursor).await;
    let truth = world.cloud.truth();
    let wanted = of(&truth, &[late]);
    assert_eq!(wanted.len(), truth.len() / 2);
    let row = second.held(&truth);
    assert_eq!((row.duplicates, row.altered, row.strange), (0, 0, 0), "{row:?}");
    assert_eq!(second.held(&wanted).missing, 0);
}
