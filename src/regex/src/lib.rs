//! regex-lite in regex's place: oci-spec checks two short fields with it, and
//! regex would be a fifth of krun's binary.

pub use regex_lite::*;
