//! Looks a document over before it is parsed.
//!
//! In the flow: first of all that happens to a document, whatever transport it came by. The parser behind it descends
//! by recursion, so that a few kilobytes of brackets would exhaust the stack and end the process.
//!
//! **Invariant:** what passes nests at most [`Limits::nesting`] brackets as the parser sees them: strings and
//! comments end here exactly where they end there, and a bracket closes only one of its own kind.
//! **Invariant:** the time is linear in the length, and the length is checked first.

use async_graphql::Pos;

use super::Limits;

/// Why a document is not given to the parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("the document is longer than {0} bytes")]
    TooLong(usize),
    #[error("the document has more than {0} tokens")]
    TooManyTokens(usize),
    #[error("the document nests more than {0} brackets in one another")]
    TooNested(usize),
    #[error("syntax error: a string is not closed")]
    OpenString(Pos),
    #[error("syntax error: unexpected `{0}`")]
    Unbalanced(char, Pos),
}

impl Unfit {
    /// Whether a limit is passed; otherwise the document is not GraphQL.
    pub fn is_limit(self) -> bool {
        self.position().is_none()
    }

    /// Where it is not GraphQL.
    pub fn position(self) -> Option<Pos> {
        match self {
            Self::OpenString(at) | Self::Unbalanced(_, at) => Some(at),
            Self::TooLong(_) | Self::TooManyTokens(_) | Self::TooNested(_) => None,
        }
    }
}

/// Checks that a document may be parsed.
pub(super) fn scan(document: &str, limits: &Limits) -> Result<(), Unfit> {
    if document.len() > limits.document_bytes {
        return Err(Unfit::TooLong(limits.document_bytes));
    }
    let mut open = Vec::new();
    let mut lexer = Lexer {
        text: document.as_bytes(),
        at: 0,
    };
    for count in 1.. {
        let start = lexer.skip_ignored();
        let Some(first) = lexer.peek(0) else { break };
        if count > limits.tokens {
            return Err(Unfit::TooManyTokens(limits.tokens));
        }
        let whole = lexer.token(first);
        let unbalanced = || Unfit::Unbalanced(first.into(), position(document, start));
        match first {
            b'"' if !whole => return Err(Unfit::OpenString(position(document, start))),
            b'{' | b'[' | b'(' if open.len() == limits.nesting => {
                return Err(Unfit::TooNested(limits.nesting));
            }
            b'{' => open.push(b'}'),
            b'[' => open.push(b']'),
            b'(' => open.push(b')'),
            b'}' | b']' | b')' if open.pop() != Some(first) => return Err(unbalanced()),
            _ => {}
        }
    }
    Ok(())
}

/// Splits a document into tokens (GraphQL, section 2.1), as loosely as counting them allows.
struct Lexer<'d> {
    text: &'d [u8],
    at: usize,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    fn starts_with(&self, prefix: &[u8]) -> bool {
        self.text[self.at..].starts_with(prefix)
    }

    fn skip_while(&mut self, belongs: impl Fn(u8) -> bool) {
        while self.peek(0).is_some_and(&belongs) {
            self.at += 1;
        }
    }

    /// Skips white space, commas, byte order marks and comments, and returns where that ends.
    fn skip_ignored(&mut self) -> usize {
        loop {
            match self.peek(0) {
                Some(b' ' | b'\t' | b',' | b'\n' | b'\r') => self.at += 1,
                Some(b'#') => self.skip_while(|byte| !matches!(byte, b'\n' | b'\r')),
                Some(0xef) if self.starts_with("\u{feff}".as_bytes()) => self.at += 3,
                _ => return self.at,
            }
        }
    }

    /// Steps over the token that `first` begins; `false` when it is a string without an end.
    fn token(&mut self, first: u8) -> bool {
        self.at += 1;
        match first {
            b'"' if self.starts_with(br#""""#) => {
                self.at += 2;
                return self.block_string();
            }
            b'"' => return self.string(),
            b'.' if self.starts_with(b"..") => self.at += 2,
            b'-' | b'0'..=b'9' => self.number(),
            _ if is_name(first) => self.skip_while(is_name),
            // Inside a character of several bytes, which only a string or a comment may hold: the parser will refuse it.
            _ if !first.is_ascii() => self.skip_while(|byte| !byte.is_ascii()),
            _ => {}
        }
        true
    }

    fn number(&mut self) {
        self.skip_while(|byte| byte.is_ascii_digit());
        if self.peek(0) == Some(b'.') && self.peek(1).is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
            self.skip_while(|byte| byte.is_ascii_digit());
        }
        if matches!(self.peek(0), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(0), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.skip_while(|byte| byte.is_ascii_digit());
        }
    }

    fn string(&mut self) -> bool {
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            match byte {
                b'"' => return true,
                b'\n' | b'\r' => return false,
                b'\\' => self.at += 1,
                _ => {}
            }
        }
        false
    }

    fn block_string(&mut self) -> bool {
        while self.at < self.text.len() {
            if self.starts_with(br#"""""#) {
                self.at += 3;
                return true;
            }
            // The only escape there is, and no backslash before it takes it away.
            self.at += if self.starts_with(br#"\""""#) { 4 } else { 1 };
        }
        false
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The line and column, both from 1, of a byte that begins a character.
fn position(document: &str, at: usize) -> Pos {
    let before = &document[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Pos {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use proptest::prelude::*;

    use super::*;

    fn limits() -> Limits {
        Limits {
            document_bytes: 4_096,
            tokens: 200,
            nesting: 8,
            ..Limits::default()
        }
    }

    fn check(document: &str) -> Result<(), Unfit> {
        scan(document, &limits())
    }

    #[test]
    fn a_document_at_a_limit_passes_and_one_past_it_does_not() {
        let nested = |depth| format!("{}{}", "{a".repeat(depth), "}".repeat(depth));
        assert_eq!(check(&nested(8)), Ok(()));
        assert_eq!(check(&nested(9)), Err(Unfit::TooNested(8)));
        let tokens = |count: usize| format!("{{{}}}", " a".repeat(count - 2));
        assert_eq!(check(&tokens(200)), Ok(()));
        assert_eq!(check(&tokens(201)), Err(Unfit::TooManyTokens(200)));
        let long = |bytes: usize| format!("{{a}}{}", " ".repeat(bytes - 3));
        assert_eq!(check(&long(4_096)), Ok(()));
        assert_eq!(check(&long(4_097)), Err(Unfit::TooLong(4_096)));
    }

    #[test]
    fn each_kind_of_bracket_nests() {
        for literal in ["[", "{f:", "(", "[{f:"] {
            let document = format!("{{f(x:{}", literal.repeat(1_000));
            assert_eq!(check(&document), Err(Unfit::TooNested(8)), "{literal}");
        }
    }

    #[test]
    fn brackets_in_strings_and_comments_do_not_nest() {
        for text in [
            r#""[[[[[[[[[""#,
            r#""\"[[[[[[[[[""#,
            r#""\\" "[[[[[[[[[""#,
            r#""""[[[[["[[[[""[[[""""#,
            r#""""[[[\"""[[[[[[[""""#,
            r#""""[[[\\"""[[[[[[[""""#,
            "1 #[[[[[[[[[[\n",
            "1 #\"[[[[[[[[[[\r",
        ] {
            assert_eq!(check(&format!("{{f(x:{text})}}")), Ok(()), "{text}");
        }
    }

    #[test]
    fn brackets_after_a_string_or_a_comment_nest() {
        for text in [
            r#""""#,
            r#""\\""#,
            "\"#\"",
            r#""""""""#,
            "#\"\n",
            "#\"\"\"\r",
        ] {
            let document = format!("{{f(x:[{text}[[[[[[[[[[");
            assert_eq!(check(&document), Err(Unfit::TooNested(8)), "{text}");
        }
    }

    #[test]
    fn an_open_string_and_a_stray_bracket_are_found_where_they_are() {
        let at = |line, column| Pos { line, column };
        for (document, expected) in [
            ("{\n  f(x: \"ä\n\")}", Unfit::OpenString(at(2, 8))),
            ("{f(x: \"", Unfit::OpenString(at(1, 7))),
            ("{f(x: \"\\", Unfit::OpenString(at(1, 7))),
            ("{f(x: \"\"\"\" [[[[[[[[[[", Unfit::OpenString(at(1, 7))),
            ("{ä}}", Unfit::Unbalanced('}', at(1, 4))),
            ("{f(x:[)}", Unfit::Unbalanced(')', at(1, 7))),
        ] {
            assert_eq!(check(document), Err(expected), "{document}");
            assert!(!expected.is_limit());
        }
    }

    #[test]
    fn tokens_are_counted_as_the_specification_splits_them() {
        let limits = |tokens| Limits { tokens, ..limits() };
        for (document, tokens) in [
            ("", 0),
            ("#only a comment", 0),
            ("\u{feff}{a,b}", 4),
            ("{...F}", 4),
            ("-1.5e+3", 1),
            ("1-1", 2),
            ("$a:[Int!]=\"x\"@d", 11),
        ] {
            let passes = scan(document, &limits(tokens));
            assert!(
                matches!(passes, Ok(())),
                "{document:?} has more than {tokens}: {passes:?}"
            );
            if tokens > 0 {
                let fewer = scan(document, &limits(tokens - 1));
                assert_eq!(fewer, Err(Unfit::TooManyTokens(tokens - 1)), "{document:?}");
            }
        }
    }

    /// A value as a client may write it, and how deep its brackets nest.
    fn value() -> impl Strategy<Value = (String, usize)> {
        let leaf = prop_oneof![
            "-?[1-9][0-9]{0,3}(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
            "[A-Z_][A-Z0-9_]{0,8}",
            "\\$[a-z]{1,4}",
            r#""([ -!#-\[\]-~ä]|\\["\\nt]){0,12}""#,
            r#""""([ !#-\[\]-~\n]|\\""")([ !#-\[\]-~\n]|\\"""){0,8}""""#,
        ];
        let leaf = leaf.prop_map(|text| (text, 0));
        leaf.prop_recursive(12, 64, 4, |inner| {
            let field = ("[a-z]{1,4}", inner.clone())
                .prop_map(|(name, (value, depth))| (format!("{name}: {value}"), depth));
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(|items| wrap("[", items, "]")),
                prop::collection::vec(field, 0..4).prop_map(|items| wrap("{", items, "}")),
            ]
        })
    }

    fn wrap(open: &str, items: Vec<(String, usize)>, close: &str) -> (String, usize) {
        let depth = items.iter().map(|(_, depth)| depth + 1).max().unwrap_or(1);
        let texts: Vec<_> = items.into_iter().map(|(text, _)| text).collect();
        (format!("{open}{}{close}", texts.join(" #]})\"\n")), depth)
    }

    proptest! {
        #[test]
        fn nesting_is_counted_as_the_parser_sees_it((value, depth) in value()) {
            let document = format!("query Q($a: [[Int!]] = [1]) {{ f(x: {value}) }}");
            prop_assert!(parse_query(&document).is_ok(), "{document}");
            let limits = |nesting| Limits { nesting, ..Limits::default() };
            // At the deepest: the selection, its arguments, and the value; and the type of the variable.
            let nesting = (depth + 2).max(3);
            prop_assert_eq!(scan(&document, &limits(nesting)), Ok(()));
            prop_assert_eq!(scan(&document, &limits(nesting - 1)), Err(Unfit::TooNested(nesting - 1)));
        }

        #[test]
        fn what_the_parser_accepts_is_let_through(
            tokens in prop::collection::vec(prop::sample::select(&[
                "{", "}", "[", "]", "(", ")", "a", "query", "mutation", "fragment F on Q", "...", "...F", "...on Q",
                "$v", ":", "!", "=", "@d", "1", "-1.5e3", "\"\"", "\"[\"", "\"\\\"\"", "\"\"\"{\"\"\"", "#(\n", ",",
                "\u{feff}", "x:[1]", "{a}", "(x:{y:2})", "ä",
            ][..]), 0..12),
        ) {
            let document = tokens.join(" ");
            if parse_query(&document).is_ok() {
                prop_assert_eq!(scan(&document, &Limits::default()), Ok(()));
            }
        }

        #[test]
        fn any_text_is_scanned_without_a_panic(
            document in "\\PC{0,64}|[{}\\[\\]()\"\\\\#\na.,1-9 eä-]{0,200}",
        ) {
            let _ = scan(&document, &Limits::default());
        }
    }
}
