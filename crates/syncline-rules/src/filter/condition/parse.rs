//! From words to a tree, bounded before anything is made of it.

use syncline_schema::Pattern;

use super::token::{Fault, Token, Word, fault, words};
use super::tree::{
    ACTOR, ALONE, CHANGE, CONTEXT, Calculate, Compare, Field, Function, Literal, Loop, Node,
};

/// Bounds the nodes of an expression. Chains such as `1+1+…` become as deep as they are long, so
/// this bounds the stack of an evaluation as well.
pub(super) const NODES_MAX: usize = 200;
/// Bounds how deep brackets, signs and choices nest, and so the stack of the parser.
pub(super) const DEPTH_MAX: usize = 24;
/// Bounds a compiled pattern, in bytes; what it costs to search is paid for in steps.
const PATTERN_BYTES_MAX: usize = 32 << 10;

/// Which fields an expression looks at.
#[derive(Clone, Debug, Default)]
pub(super) struct Looks {
    pub at: Vec<Field>,
}

/// Reads an expression.
pub(super) fn parse(text: &str) -> Result<(Node, Looks), Fault> {
    let mut parser = Parser {
        words: words(text)?,
        next: 0,
        nodes: 0,
        depth: 0,
        locals: Vec::new(),
        looks: Looks::default(),
    };
    let node = parser.expression()?;
    match parser.peek() {
        Token::End => Ok((node, parser.looks)),
        _ => parser.unexpected("an operator, or the end"),
    }
}

struct Parser {
    words: Vec<Word>,
    next: usize,
    nodes: usize,
    depth: usize,
    /// The variables of the loops around.
    locals: Vec<String>,
    looks: Looks,
}

type Parsed = Result<Node, Fault>;

/// The operators of two sides by how close they bind, the loosest first.
const BINARY: [&[&str]; 5] = [
    &["||"],
    &["&&"],
    &["==", "!=", "<=", ">=", "<", ">", "in"],
    &["+", "-"],
    &["*", "/", "%"],
];

impl Parser {
    fn peek(&self) -> &Token {
        &self.words[self.next].token
    }

    fn at(&self) -> usize {
        self.words[self.next].at
    }

    /// Takes the next word; the last one stays.
    fn take(&mut self) -> Token {
        let token = self.words[self.next].token.clone();
        self.next = (self.next + 1).min(self.words.len() - 1);
        token
    }

    fn eat(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(found) if *found == sign);
        if found {
            self.take();
        }
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), Fault> {
        match self.eat(sign) {
            true => Ok(()),
            false => self.unexpected(&format!("{sign:?}")),
        }
    }

    fn unexpected<T>(&self, expected: &str) -> Result<T, Fault> {
        let found = match self.peek() {
            Token::Name(name) => format!("{name:?}"),
            Token::Text(_) => "a text".to_owned(),
            Token::Number(number) => number.to_string(),
            Token::Sign(sign) => format!("{sign:?}"),
            Token::End => "the end".to_owned(),
        };
        fault(
            self.at(),
            format!("{found} stands where {expected} belongs"),
        )
    }

    fn count(&mut self) -> Result<(), Fault> {
        self.nodes += 1;
        match self.nodes > NODES_MAX {
            true => fault(
                self.at(),
                format!("an expression has at most {NODES_MAX} operators and values"),
            ),
            false => Ok(()),
        }
    }

    /// Goes a level down for as long as `inner` lasts.
    fn deeper(&mut self, inner: impl FnOnce(&mut Parser) -> Parsed) -> Parsed {
        if self.depth == DEPTH_MAX {
            let why = format!("an expression nests at most {DEPTH_MAX} deep");
            return fault(self.at(), why);
        }
        self.depth += 1;
        let parsed = inner(self);
        self.depth -= 1;
        parsed
    }

    fn expression(&mut self) -> Parsed {
        self.deeper(|parser| {
            let condition = parser.binary(0)?;
            if !parser.eat("?") {
                return Ok(condition);
            }
            parser.count()?;
            let yes = parser.binary(0)?;
            parser.expect(":")?;
            let no = parser.expression()?;
            Ok(Node::If(Box::new((condition, yes, no))))
        })
    }

    /// Reads what operators of at least this closeness hold together.
    fn binary(&mut self, level: usize) -> Parsed {
        let Some(signs) = BINARY.get(level) else {
            return self.unary();
        };
        let mut left = self.binary(level + 1)?;
        loop {
            let sign = match self.peek() {
                Token::Sign(sign) => signs.iter().find(|known| *known == sign),
                Token::Name(name) => signs.iter().find(|known| **known == name.as_str()),
                _ => None,
            };
            let Some(sign) = sign else { return Ok(left) };
            self.count()?;
            self.take();
            let right = self.binary(level + 1)?;
            left = join(sign, left, right);
        }
    }

    fn unary(&mut self) -> Parsed {
        for (sign, make) in [
            ("!", Node::Not as fn(Box<Node>) -> Node),
            ("-", Node::Negate as fn(Box<Node>) -> Node),
        ] {
            if self.eat(sign) {
                self.count()?;
                let inner = self.deeper(Parser::unary)?;
                return Ok(make(Box::new(inner)));
            }
        }
        let mut node = self.primary()?;
        loop {
            if self.eat(".") {
                node = self.member(node)?;
            } else if self.eat("[") {
                self.count()?;
                let index = self.expression()?;
                self.expect("]")?;
                node = Node::Index(Box::new((node, index)));
            } else {
                return Ok(node);
            }
        }
    }

    fn primary(&mut self) -> Parsed {
        let at = self.at();
        self.count()?;
        match self.take() {
            Token::Number(number) => Ok(Node::Literal(Literal::Number(number))),
            Token::Text(text) => Ok(Node::Literal(Literal::Text(text.into()))),
            Token::Name(name) => self.named(&name, at),
            Token::Sign("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Sign("[") => self.list(),
            Token::Sign("{") => fault(at, "objects cannot be written here"),
            Token::Sign(_) | Token::End => {
                self.next -= usize::from(self.at() != at);
                self.unexpected("a value")
            }
        }
    }

    fn list(&mut self) -> Parsed {
        let mut items = Vec::new();
        while !self.eat("]") {
            items.push(self.expression()?);
            if !self.eat(",") {
                self.expect("]")?;
                break;
            }
        }
        Ok(Node::List(items))
    }

    fn named(&mut self, name: &str, at: usize) -> Parsed {
        if let Some(local) = self.locals.iter().rposition(|known| known == name) {
            return Ok(Node::Local(local));
        }
        if matches!(self.peek(), Token::Sign("(")) {
            return self.function(name, at);
        }
        let field = match name {
            "true" | "false" => return Ok(Node::Literal(Literal::Bool(name == "true"))),
            "null" => return Ok(Node::Literal(Literal::Null)),
            "change" => match self.member_of("change", &CHANGE)? {
                Field::ChangeActor if self.member_follows() => {
                    self.member_of("change.actor", &ACTOR)?
                }
                field => field,
            },
            "document" => self.member_of("document", &CONTEXT)?,
            "context" if self.member_follows() => self.member_of("context", &CONTEXT)?,
            // Alone it is the address, as in a filter.
            "context" => Field::Address,
            _ => match ALONE.iter().find(|(known, _)| *known == name) {
                Some((_, field)) => *field,
                None => return fault(at, unknown_name(name)),
            },
        };
        self.looks.at.push(field);
        Ok(Node::Field(field))
    }

    /// Says whether a member is named next, and not a function called.
    fn member_follows(&self) -> bool {
        let after_the_name = self.words.get(self.next + 2);
        match self.peek() {
            Token::Sign("[") => true,
            Token::Sign(".") => {
                !after_the_name.is_some_and(|word| matches!(word.token, Token::Sign("(")))
            }
            _ => false,
        }
    }

    /// Reads the member that must follow the name of a group.
    fn member_of(&mut self, group: &str, members: &[(&str, Field)]) -> Result<Field, Fault> {
        let bracket = self.eat("[");
        if !bracket {
            self.expect(".")?;
        }
        let at = self.at();
        let name = match (self.take(), bracket) {
            (Token::Name(name), false) | (Token::Text(name), true) => name,
            _ => return fault(at, format!("a member of {group} is named here")),
        };
        if bracket {
            self.expect("]")?;
        }
        let found = members.iter().find(|(known, _)| *known == name);
        if let Some((_, field)) = found {
            return Ok(*field);
        }
        let known: Vec<&str> = members.iter().map(|(known, _)| *known).collect();
        let known = known.join(", ");
        fault(at, format!("{group} has no {name:?}; it has {known}"))
    }

    /// Reads what follows a dot: a member, a function of what stands before it, or a loop.
    fn member(&mut self, of: Node) -> Parsed {
        let at = self.at();
        self.count()?;
        let Token::Name(name) = self.take() else {
            return fault(at, "a name follows a dot");
        };
        if !self.eat("(") {
            return Ok(Node::Member(Box::new(of), name.into()));
        }
        if let Some(kind) = Loop::parse(&name) {
            return self.repeat(kind, of);
        }
        let function = match name.as_str() {
            "matches" => return self.pattern(of),
            "size" => Function::Size,
            "startsWith" => Function::StartsWith,
            "endsWith" => Function::EndsWith,
            "contains" => Function::Contains,
            "lowerAscii" => Function::LowerAscii,
            "upperAscii" => Function::UpperAscii,
            _ => return fault(at, no_method(&name)),
        };
        let of = Box::new(of);
        let other = match function {
            Function::Size | Function::LowerAscii | Function::UpperAscii => None,
            _ => Some(Box::new(self.expression()?)),
        };
        self.expect(")")?;
        Ok(Node::Call(function, of, other))
    }

    fn function(&mut self, name: &str, at: usize) -> Parsed {
        self.expect("(")?;
        let function = match name {
            "has" => return self.has(),
            "size" => Function::Size,
            "int" => Function::Int,
            "double" => Function::Double,
            "string" => Function::String,
            _ => return fault(at, no_function(name)),
        };
        let of = Box::new(self.expression()?);
        self.expect(")")?;
        Ok(Node::Call(function, of, None))
    }

    fn has(&mut self) -> Parsed {
        let at = self.at();
        let inner = self.expression()?;
        self.expect(")")?;
        match inner {
            Node::Member(of, name) => Ok(Node::Has(of, name)),
            Node::Field(field) => Ok(Node::HasField(field)),
            _ => fault(at, "has(…) asks for a member, such as has(data.status)"),
        }
    }

    fn repeat(&mut self, kind: Loop, over: Node) -> Parsed {
        let at = self.at();
        let Token::Name(name) = self.take() else {
            return fault(at, "a loop begins with the name of its variable");
        };
        self.expect(",")?;
        self.locals.push(name);
        let body = self.expression();
        self.locals.pop();
        let body = body?;
        self.expect(")")?;
        Ok(Node::Loop(kind, Box::new((over, body))))
    }

    /// Reads a pattern. It must be written out, so that it is compiled once and its size is known.
    fn pattern(&mut self, of: Node) -> Parsed {
        let at = self.at();
        let Token::Text(text) = self.take() else {
            return fault(at, "a pattern is written out as a text");
        };
        self.expect(")")?;
        match Pattern::compile(&text, PATTERN_BYTES_MAX) {
            Ok(pattern) => Ok(Node::Matches(Box::new(of), Box::new(pattern))),
            Err(why) => fault(at, why),
        }
    }
}

fn unknown_name(name: &str) -> String {
    let alone: Vec<&str> = ALONE.iter().map(|(known, _)| *known).collect();
    format!(
        "{name:?} is not known; what is known are change.<member>, document.<member>, context and {}",
        alone.join(", ")
    )
}

/// Says what was meant by a name that is called alone, as `matches(data.s, "a")`.
fn no_function(name: &str) -> String {
    let form = match name {
        "matches" => r#"data.title.matches("^fix")"#.to_owned(),
        "startsWith" | "endsWith" | "contains" => format!("data.title.{name}(\"fix\")"),
        "lowerAscii" | "upperAscii" => format!("data.title.{name}()"),
        "map" => "data.steps.map(step, step.id)".to_owned(),
        _ if Loop::parse(name).is_some() => format!("data.steps.{name}(step, step.done)"),
        _ => return unknown_function(name),
    };
    format!("{name:?} is a method, it stands behind a value: {form}")
}

/// Says what was meant by a name that is called behind a value, as `data.n.int()`.
fn no_method(name: &str) -> String {
    match name {
        "has" => "\"has\" is a function, it stands before a member: has(data.status)".to_owned(),
        "int" | "double" | "string" => {
            format!("{name:?} is a function, it stands before a value: {name}(data.points)")
        }
        _ => unknown_function(name),
    }
}

fn unknown_function(name: &str) -> String {
    format!(
        "there is no function {name:?}; there are has, size, int, double and string, and of a value \
         size, startsWith, endsWith, contains, matches, lowerAscii, upperAscii, all, exists, \
         exists_one, filter and map"
    )
}

fn join(sign: &str, left: Node, right: Node) -> Node {
    let compare = |kind, pair| Node::Compare(kind, Box::new(pair));
    let calculate = |kind, pair| Node::Calculate(kind, Box::new(pair));
    match (sign, left) {
        ("&&", Node::And(mut all)) => {
            all.push(right);
            Node::And(all)
        }
        ("||", Node::Or(mut all)) => {
            all.push(right);
            Node::Or(all)
        }
        ("&&", left) => Node::And(vec![left, right]),
        ("||", left) => Node::Or(vec![left, right]),
        ("==", left) => compare(Compare::Equal, (left, right)),
        ("!=", left) => compare(Compare::Unequal, (left, right)),
        ("<", left) => compare(Compare::Less, (left, right)),
        ("<=", left) => compare(Compare::LessOrEqual, (left, right)),
        (">", left) => compare(Compare::Greater, (left, right)),
        (">=", left) => compare(Compare::GreaterOrEqual, (left, right)),
        ("+", left) => calculate(Calculate::Add, (left, right)),
        ("-", left) => calculate(Calculate::Subtract, (left, right)),
        ("*", left) => calculate(Calculate::Multiply, (left, right)),
        ("/", left) => calculate(Calculate::Divide, (left, right)),
        ("%", left) => calculate(Calculate::Remainder, (left, right)),
        (_, left) => Node::In(Box::new((left, right))),
    }
}

/// Says what an expression gives, where that is plainly neither true nor false.
pub(super) fn is_never_bool(node: &Node) -> Option<&'static str> {
    match node {
        Node::Literal(Literal::Null) => Some("null"),
        Node::Literal(Literal::Number(_)) | Node::Negate(_) => Some("a number"),
        Node::Literal(Literal::Text(_)) => Some("a text"),
        Node::List(_) | Node::Loop(Loop::Filter | Loop::Map, _) => Some("a list"),
        Node::Calculate(Calculate::Add, _) => Some("a number or a text"),
        Node::Calculate(..) => Some("a number"),
        Node::Call(Function::Size | Function::Int | Function::Double, ..) => Some("a number"),
        Node::Call(Function::String | Function::LowerAscii | Function::UpperAscii, ..) => {
            Some("a text")
        }
        Node::Field(Field::ChangeBlind) => None,
        Node::Field(Field::Data | Field::Labels | Field::Metadata | Field::Permissions) => {
            Some("an object")
        }
        Node::Field(_) => Some("a text, a number or a list"),
        _ => None,
    }
}
