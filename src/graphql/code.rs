//! Error codes of the GraphQL layer. The codes of library errors are in `library`.

pub(super) const PARSE_FAILED: &str = "GRAPHQL_PARSE_FAILED";
pub(super) const VALIDATION_FAILED: &str = "GRAPHQL_VALIDATION_FAILED";
pub(super) const UNKNOWN_OPERATION: &str = "OPERATION_RESOLUTION_FAILURE";
pub(super) const TOO_COMPLEX: &str = "QUERY_TOO_COMPLEX";
pub(super) const ANSWER_TOO_LARGE: &str = "ANSWER_TOO_LARGE";
pub(super) const NO_SUBSCRIPTION: &str = "SUBSCRIPTION_NOT_SUPPORTED";
pub(super) const UNKNOWN_DOCUMENT: &str = "PERSISTED_QUERY_NOT_FOUND";
pub(super) const OTHER_DOCUMENT: &str = "PERSISTED_QUERY_HASH_MISMATCH";
pub(super) const KEEPS_NO_DOCUMENTS: &str = "PERSISTED_QUERY_NOT_SUPPORTED";
pub(super) const UNTRUSTED_DOCUMENT: &str = "DOCUMENT_NOT_TRUSTED";
pub(super) const BAD_INPUT: &str = "BAD_USER_INPUT";
pub(super) const FAULT: &str = "INTERNAL_SERVER_ERROR";
