//! The audit log: one chain, and whoever touches it is found.

use ohx_store::{AUDIT_BEGINNING, AuditBreak, AuditEntry, AuditFilter, AuditHead, NewAudit, verify_audit};
use sqlx::Connection as _;

use crate::rig::{Engine, Rig};
use crate::samples::at;

crate::promises!(
    an_entry_is_read_back_and_chained,
    entries_are_listed_newest_first_and_filtered,
    many_processes_write_one_chain,
    a_text_may_hold_any_character,
    an_entry_that_was_changed_is_found,
    an_entry_that_was_taken_out_is_found,
    entries_that_were_swapped_are_found,
    entries_that_were_cut_off_are_found,
    a_log_that_was_written_anew_is_found_by_a_kept_head,
);

fn new(n: usize) -> NewAudit {
    NewAudit {
        actor: format!("key:{}", n % 2),
        action: "link.create".to_owned(),
        subject: format!("link:{n}"),
        detail: format!("{{\"n\":{n}}}"),
    }
}

async fn written(rig: &Rig, count: usize) -> Vec<AuditEntry> {
    let mut all = Vec::new();
    for n in 0..count {
        all.push(rig.store.append_audit(&new(n), at(n as i64)).await.unwrap());
    }
    all
}

/// What no store offers: a statement of somebody who has got into the database.
async fn tamper(rig: &Rig, statements: &[&'static str]) {
    match rig.engine {
        Engine::Sqlite => {
            let mut connection = sqlx::SqliteConnection::connect(&rig.url).await.unwrap();
            for statement in statements {
                sqlx::query(*statement).execute(&mut connection).await.unwrap();
            }
            connection.close().await.unwrap();
        }
        Engine::Postgres => {
            let mut connection = sqlx::PgConnection::connect(&rig.url).await.unwrap();
            for statement in statements {
                sqlx::query(*statement).execute(&mut connection).await.unwrap();
            }
            connection.close().await.unwrap();
        }
    }
}

async fn verified(rig: &Rig, kept: Option<AuditHead>) -> Result<AuditHead, AuditBreak> {
    verify_audit(&*rig.other, kept).await.unwrap()
}

async fn an_entry_is_read_back_and_chained(rig: Rig) {
    assert_eq!(verified(&rig, None).await, Ok(AuditHead::NONE));
    let all = written(&rig, 3).await;
    assert_eq!(rig.other.audit_after(0, 100).await.unwrap(), all);
    assert_eq!(rig.other.audit_after(1, 1).await.unwrap(), all[1..2]);
    assert_eq!((all[0].seq, all[0].previous), (1, AUDIT_BEGINNING));
    assert_eq!((&all[1].what, all[1].at, all[1].previous), (&new(1), at(1), all[0].hash));
    let head = AuditHead { seq: 3, hash: all[2].hash };
    assert_eq!(rig.other.audit_head().await.unwrap(), head);
    assert_eq!(verified(&rig, None).await, Ok(head));
}

async fn entries_are_listed_newest_first_and_filtered(rig: Rig) {
    written(&rig, 5).await;
    let seqs = async |filter: AuditFilter| {
        let found = rig.other.audit_entries(&filter).await.unwrap();
        found.iter().map(|entry| entry.seq).collect::<Vec<_>>()
    };
    let all = AuditFilter { limit: 100, ..AuditFilter::default() };
    assert_eq!(seqs(all.clone()).await, [5, 4, 3, 2, 1]);
    assert_eq!(seqs(AuditFilter { limit: 2, before: Some(4), ..all.clone() }).await, [3, 2]);
    assert_eq!(seqs(AuditFilter { actor: Some("key:1".into()), ..all.clone() }).await, [4, 2]);
    assert_eq!(seqs(AuditFilter { subject: Some("link:2".into()), ..all }).await, [3]);
}

async fn many_processes_write_one_chain(rig: Rig) {
    let entries = rig
        .at_once(16, |store, n| async move {
            let mut own = Vec::new();
            for _ in 0..8 {
                own.push(store.append_audit(&new(n), at(n as i64)).await.unwrap().seq);
            }
            own
        })
        .await;
    let mut seqs: Vec<i64> = entries.into_iter().flatten().collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=128).collect::<Vec<_>>());
    assert_eq!(verified(&rig, None).await.unwrap().seq, 128);
}

async fn a_text_may_hold_any_character(rig: Rig) {
    let odd = NewAudit { subject: "link:\0 ü \u{1f4a9} '\"".to_owned(), ..new(1) };
    rig.store.append_audit(&odd, at(0)).await.unwrap();
    assert_eq!(verified(&rig, None).await.unwrap().seq, 1);
}

async fn an_entry_that_was_changed_is_found(rig: Rig) {
    written(&rig, 5).await;
    tamper(&rig, &["UPDATE audit_log SET actor = 'key:9' WHERE seq = 3"]).await;
    assert_eq!(verified(&rig, None).await, Err(AuditBreak::Altered(3)));
    tamper(&rig, &["UPDATE audit_log SET actor = 'key:0', detail = '{}' WHERE seq = 3"]).await;
    assert_eq!(verified(&rig, None).await, Err(AuditBreak::Altered(3)));
    // A hash of one's own breaks the next one.
    let mut forged = rig.store.audit_after(2, 1).await.unwrap().remove(0);
    forged.hash = forged.digest();
    let hex: String = forged.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let hash = if rig.engine == Engine::Sqlite { format!("x'{hex}'") } else { format!("'\\x{hex}'") };
    let forge = format!("UPDATE audit_log SET hash = {hash} WHERE seq = 3");
    tamper(&rig, &[forge.leak()]).await;
    assert_eq!(verified(&rig, None).await, Err(AuditBreak::Unlinked(4)));
}

async fn an_entry_that_was_taken_out_is_found(rig: Rig) {
    written(&rig, 5).await;
    tamper(&rig, &["DELETE FROM audit_log WHERE seq = 2"]).await;
    assert_eq!(verified(&rig, None).await, Err(AuditBreak::Missing { seq: 2, found: 3 }));
    // Numbered anew, it does not fit either.
    tamper(
        &rig,
        &[
            "UPDATE audit_log SET seq = 2 WHERE seq = 3",
            "UPDATE audit_log SET seq = 3 WHERE seq = 4",
            "UPDATE audit_log SET seq = 4 WHERE seq = 5",
        ],
    )
    .await;
    assert_eq!(verified(&rig, None).await, Err(AuditBreak::Altered(2)));
}

async fn entries_that_were_swapped_are_found(rig: Rig) {
    written(&rig, 5).await;
    tamper(
        &rig,
        &[
            "UPDATE audit_log SET seq = 99 WHERE seq = 2",
            "UPDATE audit_log SET seq = 2 WHERE seq = 3",
            "UPDATE audit_log SET seq = 3 WHERE seq = 99",
        ],
    )
    .await;
    assert_eq!(verified(&rig, None).await, Err(AuditBreak::Altered(2)));
}

async fn entries_that_were_cut_off_are_found(rig: Rig) {
    let all = written(&rig, 5).await;
    tamper(&rig, &["DELETE FROM audit_log WHERE seq > 3"]).await;
    assert_eq!(verified(&rig, None).await, Err(AuditBreak::CutOff { last: 3, head: 5 }));
    // With the head moved too, the log agrees with itself: a head that was kept elsewhere tells.
    tamper(&rig, &["UPDATE audit_head SET seq = 3, hash = (SELECT hash FROM audit_log WHERE seq = 3)"]).await;
    assert!(verified(&rig, None).await.is_ok());
    let kept = AuditHead { seq: 5, hash: all[4].hash };
    assert_eq!(verified(&rig, Some(kept)).await, Err(AuditBreak::CutOff { last: 3, head: 5 }));
}

async fn a_log_that_was_written_anew_is_found_by_a_kept_head(rig: Rig) {
    let all = written(&rig, 3).await;
    let kept = AuditHead { seq: 2, hash: all[1].hash };
    assert!(verified(&rig, Some(kept)).await.is_ok());
    tamper(&rig, &["DELETE FROM audit_log", "DELETE FROM audit_head"]).await;
    for n in 5..9 {
        rig.store.append_audit(&new(n), at(0)).await.unwrap();
    }
    assert!(verified(&rig, None).await.is_ok());
    assert_eq!(verified(&rig, Some(kept)).await, Err(AuditBreak::NotTheKept(2)));
}
