//! Compiles the first stage.

use std::collections::HashMap;

use serde_saphyr::Spanned;

use super::{Compiler, Result};
use crate::document::{Device, Extract as Written, Items, Manual as Typed, Observe, Ordered, Skip};
use crate::expr::Expr;
use crate::json::write_string;
use crate::plan::{DevicePlan, Extract, Inner, ItemsPlan, Key, Kind, Manual, Use, Wanted, When};
use crate::units::Conversion;

impl Compiler<'_> {
    /// One block of extraction; its kinds are added to those of the blocks before it.
    pub(super) fn extract(
        &mut self,
        stage: &Written,
        observe: &mut Ordered<Spanned<Observe>>,
        kinds: &mut Vec<Kind>,
        tag: &str,
    ) -> Result<Extract> {
        let before = self.parts.get();
        let mut items = stage.items.as_ref().map(|i| self.items(i)).transpose()?;
        let (mut direct, mut timed) = (Vec::new(), Vec::new());
        for reading in &stage.readings {
            let at = reading.value.kind.referenced;
            let name = self.slug(&reading.value.kind, "a kind called")?;
            if kinds.iter().any(|k| *k.name == *name) {
                let hint = "a kind is part of a reading's identity: give each reading a kind of its own";
                return self.error(at, format!("a second reading of kind {name}"), hint);
            }
            let observed = self.observed(observe, &name, at)?;
            let kind = self.kind(name, reading, &observed.value, tag)?;
            for (slot, take) in self.takes(reading, &kind)? {
                let to = Use { kind: kinds.len(), slot, convert: Conversion::SAME };
                self.take(take, to, &kind, &mut items, &mut direct, &mut timed)?;
            }
            kinds.push(kind);
        }
        if let Some(items) = &mut items {
            items.index();
        }
        let inner = match (&stage.within, &stage.members) {
            (None, None) => Inner::Itself,
            (Some(within), None) => Inner::Within(self.expr(within)?),
            (None, Some(members)) => Inner::Members(self.expr(members)?),
            (Some(_), Some(members)) => {
                let hint =
                    "records are the items of a list (`within`) or the members of an object (`members`)";
                return self.error(members.referenced, "both `within` and `members`", hint);
            }
        };
        let when = match (&stage.time, &stage.period, &stage.day) {
            (Some(time), None, None) => When::Time(self.expr(time)?),
            (None, Some(period), None) => When::Period(self.expr(&period.start)?, self.expr(&period.end)?),
            (None, None, Some(day)) => When::Day(self.expr(day)?),
            _ => {
                let hint = "write exactly one of `time`, `period` and `day`";
                return self.error(stage.id.referenced, "when it was measured is unclear", hint);
            }
        };
        let mut extract = Extract {
            zone: self.optional(stage.zone.as_ref())?,
            each: self.expr(&stage.each)?,
            inner,
            skip: self.skips(&stage.skip)?,
            id: self.expr(&stage.id)?,
            when,
            record_zone: self.optional(stage.record_zone.as_ref())?,
            issued: self.optional(stage.issued.as_ref())?,
            preliminary: self.optional(stage.preliminary.as_ref())?,
            device: stage.device.as_ref().map(|d| self.device(d)).transpose()?,
            manual: stage.manual.as_ref().map(|m| self.manual(m)).transpose()?,
            origin: self.optional(stage.origin.as_ref())?,
            items,
            wanted: Wanted::of(&direct),
            direct,
            timed,
            parts: 0,
        };
        extract.parts = self.parts.get() - before;
        Ok(extract)
    }

    fn skips(&self, skips: &[Skip]) -> Result<Vec<(Expr, String)>> {
        let skip = |s: &Skip| Ok((self.expr(&s.when)?, self.slug(&s.reason, "a reason called")?));
        skips.iter().map(skip).collect()
    }

    fn device(&self, device: &Device) -> Result<DevicePlan> {
        Ok(DevicePlan {
            id: self.expr(&device.id)?,
            model: self.optional(device.model.as_ref())?,
            model_id: self.optional(device.model_id.as_ref())?,
        })
    }

    fn manual(&self, manual: &Typed) -> Result<Manual> {
        let mut note = String::from(",\"note\":[{\"text\":");
        write_string(&mut note, &manual.note);
        note.push_str("}]");
        Ok(Manual { when: self.expr(&manual.when)?, note })
    }

    fn items(&self, items: &Items) -> Result<ItemsPlan> {
        let mut sites = HashMap::new();
        if let Some(table) = &items.sites {
            for (position, (concept, _)) in &self.named_table(table)?.codes {
                let Ok(position) = position.parse() else {
                    let hint = "the keys of a table of positions are whole numbers";
                    return self.error(table.referenced, format!("a position {position:?}"), hint);
                };
                sites.insert(position, format!(",\"bodySite\":{concept}"));
            }
        }
        let mut ignore = HashMap::new();
        for (key, reason) in items.ignore.iter().flat_map(|i| &i.0) {
            ignore.insert(Key::of(key), self.slug(reason, "a reason called")?);
        }
        Ok(ItemsPlan {
            at: self.expr(&items.at)?,
            skip: self.skips(&items.skip)?,
            key: self.expr(&items.key)?,
            position: self.optional(items.position.as_ref())?,
            sites,
            number: self.expr(&items.number)?,
            uses: HashMap::new(),
            small: Vec::new(),
            ignore,
        })
    }
}
