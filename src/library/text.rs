//! The rules of texts and counts that the nouns share.

use super::error::Error;

/// Trims a one-line text in place; it must not be empty, hold control characters or pass `max` characters.
pub(super) fn line(field: &'static str, text: &mut String, max: usize) -> Result<(), Error> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(Error::invalid(field, "must not be empty"));
    }
    if trimmed.chars().any(char::is_control) {
        return Err(Error::invalid(
            field,
            "must be one line without control characters",
        ));
    }
    within(field, trimmed, max)?;
    if trimmed.len() != text.len() {
        *text = trimmed.to_owned();
    }
    Ok(())
}

/// Checks a text of any lines, kept as written. NUL is refused, since PostgreSQL cannot store it.
pub(super) fn prose(field: &'static str, text: Option<&str>, max: usize) -> Result<(), Error> {
    let Some(text) = text else { return Ok(()) };
    if text.contains('\0') {
        return Err(Error::invalid(field, "must not hold a NUL character"));
    }
    within(field, text, max)
}

/// Checks a count.
pub(super) fn count(field: &'static str, count: Option<i32>) -> Result<(), Error> {
    if count.is_some_and(i32::is_negative) {
        return Err(Error::invalid(field, "must not be negative"));
    }
    Ok(())
}

fn within(field: &'static str, text: &str, max: usize) -> Result<(), Error> {
    // A text has at most as many characters as bytes, so most need no count.
    if text.len() > max && text.chars().count() > max {
        return Err(Error::invalid(field, format!("at most {max} characters")));
    }
    Ok(())
}
