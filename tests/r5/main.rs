//! Everything that is written, held against HL7's own definitions of FHIR R5, and converted of R4B and R4, which
//! `tests/needs r5` fetches.
//!
//! `validate` judges a resource by the official snapshots: elements, cardinalities, types, formats, slices, bindings,
//! references, and the invariants of `invariants`. `schema` is a second judge, the official JSON Schema. `codes` and
//! `loinc` have what neither knows: UCUM, code systems, and which LOINC codes are ours to use. `examples`, `mutations`
//! and `code_tests` prove the judges; `mapped`, `published` and `random` bring what is written before them, `r4` what is
//! written in older releases, and `full` resources that have every element. `opinion` is a second opinion, by a validator
//! that others wrote; `values` a table of what is mapped, by hand after the sheets of the providers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, missing_docs)]

mod code_tests;
mod codes;
mod definitions;
mod devices;
mod examples;
mod full;
mod invariants;
mod json;
mod loinc;
mod mapped;
mod mutations;
mod opinion;
mod outputs;
mod primitive;
mod published;
mod r4;
mod random;
mod schema;
mod validate;
mod values;
