//! Counts the tokens and the open brackets of a document before it is parsed.
//!
//! In the flow: the first step for a document. The parser descends recursively and builds a tree of all tokens. So this
//! scan bounds the nesting and the tokens, with the lexer of the parser.
//!
//! **Invariant:** a document that passes nests at most [`MAX_NESTING`] brackets and has at most [`Limits::max_tokens`]
//! tokens.
//! **Invariant:** the time is linear in the length, and the length is checked first.

use apollo_parser::{Lexer, TokenKind};
use async_graphql::ServerError;

use super::source_location::Positions;
use crate::graphql::{
    code,
    error::refusal,
    limits::{Limits, MAX_NESTING},
};

/// Checks that a document is small enough to parse. Reports the first invalid token; the parser would read on to the
/// end.
pub(super) fn check(text: &str, limits: &Limits) -> Result<(), ServerError> {
    let too_complex = |what: String| Err(refusal(code::TOO_COMPLEX, what, None));
    if text.len() > limits.max_document {
        let most = limits.max_document;
        return too_complex(format!("the document is longer than {most} bytes"));
    }
    let (mut tokens, mut open) = (0, 0_usize);
    for token in Lexer::new(text) {
        let token = token.map_err(|broken| {
            let at = Positions::new(text.into()).at(broken.index());
            let message = format!("Syntax Error: {}", broken.message());
            refusal(code::PARSE_FAILED, message, Some(at))
        })?;
        match token.kind() {
            TokenKind::Whitespace | TokenKind::Comment | TokenKind::Comma | TokenKind::Eof => {
                continue;
            }
            TokenKind::LCurly | TokenKind::LBracket | TokenKind::LParen => open += 1,
            TokenKind::RCurly | TokenKind::RBracket | TokenKind::RParen => {
                open = open.saturating_sub(1);
            }
            _ => {}
        }
        tokens += 1;
        if tokens > limits.max_tokens {
            let most = limits.max_tokens;
            return too_complex(format!("the document has more than {most} tokens"));
        }
        if open > MAX_NESTING {
            let most = MAX_NESTING;
            return too_complex(format!(
                "the document nests more than {most} brackets in one another"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        let limits = Limits {
            max_document: 4_096,
            max_tokens: 200,
            ..Limits::default()
        };
        super::check(text, &limits).map_err(|error| error.message)
    }

    #[test]
    fn a_document_at_a_limit_passes_and_one_past_it_does_not() {
        let nested = |depth| format!("{}{}", "{a".repeat(depth), "}".repeat(depth));
        assert!(check(&nested(MAX_NESTING)).is_ok());
        assert!(
            check(&nested(MAX_NESTING + 1))
                .unwrap_err()
                .contains("64 brackets")
        );
        let tokens = |count: usize| format!("{{{}}}", " a,#b\n".repeat(count - 2));
        assert!(check(&tokens(200)).is_ok());
        assert!(check(&tokens(201)).unwrap_err().contains("200 tokens"));
        let long = |bytes: usize| format!("{{a}}{}", " ".repeat(bytes - 3));
        assert!(check(&long(4_096)).is_ok());
        assert!(check(&long(4_097)).unwrap_err().contains("4096 bytes"));
    }

    #[test]
    fn brackets_nest_only_outside_strings_and_comments() {
        for text in [
            r#""[[[[[[[[[""#,
            r#""\"[[[[[[[[[""#,
            r#""""[[[\"""[[[[[[[""""#,
            "1 #\"[[[[[[[[[[\r",
        ] {
            let text = text.replace('[', &"[".repeat(MAX_NESTING));
            assert!(check(&format!("{{f(x:{text})}}")).is_ok(), "{text}");
        }
        for text in [r#""""#, r#""\\""#, "\"#\"", r#""""""""#, "#\"\n"] {
            let open = "[".repeat(MAX_NESTING);
            assert!(check(&format!("{{f(x:[{text}{open}")).is_err(), "{text}");
        }
    }
}
