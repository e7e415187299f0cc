//! Everything that is written, held against HL7's own definition of FHIR R5, which `tests/needs r5` fetches.
//!
//! `validate` judges a resource by the official snapshots: elements, cardinalities, types, formats, slices, bindings,
//! references, and the invariants of `invariants`. `schema` is a second judge, the official JSON Schema. `codes` and
//! `loinc` have what neither knows: UCUM, code systems, and which LOINC codes are ours to use. `examples`, `mutations`
//! and `code_tests` prove the judges; `mapped`, `published` and `random` bring what is written before them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, missing_docs)]

mod code_tests;
mod codes;
mod definitions;
mod examples;
mod invariants;
mod json;
mod loinc;
mod mapped;
mod mutations;
mod outputs;
mod primitive;
mod published;
mod random;
mod schema;
mod validate;
