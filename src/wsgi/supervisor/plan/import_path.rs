//! Whether an application is written in a way that can be meant.

/// Whether an application can be meant: `module:attribute`, with dots in both, and maybe a call.
///
/// Whether it is there, only Python can say.
pub(super) fn check(application: &str) -> Result<(), &'static str> {
    let (module, attribute) = match application.split_once(':') {
        Some((module, attribute)) => (module, Some(attribute)),
        None => (application, None),
    };
    if module.contains('/') || module.contains('\\') {
        return Err(
            "a module is meant, not a file: give its directory as `directory`, and \
             `module:callable` here",
        );
    }
    if !names(module) {
        return Err("what stands before the colon has to be a module: `package.module:callable`");
    }
    let Some(attribute) = attribute else {
        return Ok(());
    };
    let name = match attribute.split_once('(') {
        Some((name, arguments)) if arguments.trim_end().ends_with(')') => name.trim_end(),
        Some(_) => return Err("its last parenthesis is not closed"),
        None => attribute,
    };
    match names(name) {
        true => Ok(()),
        false => Err(
            "what stands behind the colon has to be a name in the module, or a call of one: \
             `module:application`, `module:create(\"production\")`",
        ),
    }
}

/// Whether it is names with dots in between.
fn names(text: &str) -> bool {
    text.split('.').all(|name| {
        let mut characters = name.chars();
        let first = characters.next();
        first.is_some_and(|first| first.is_alphabetic() || first == '_')
            && characters.all(|other| other.is_alphanumeric() || other == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn what_can_be_meant() {
        for application in [
            "app",
            "app:application",
            "config.wsgi:application",
            "größe:anwendung",
            "_a.b_2:c.d",
            "app:create()",
            "app:create(\"a:b\", x=(1, 2)) ",
        ] {
            assert_eq!(check(application), Ok(()), "{application}");
        }
    }

    #[test]
    fn what_cannot_be_meant() {
        for application in [
            "",
            ":application",
            "app:",
            "app:1",
            "app..wsgi:application",
            "app wsgi:application",
            "app/wsgi.py:application",
            "app:application:other",
            "app:create(",
            "app:(1)",
        ] {
            assert!(check(application).is_err(), "{application}");
        }
    }
}
