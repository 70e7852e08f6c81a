#!/usr/bin/env bash
# The checks that need no build, in a few seconds: format, who includes whom,
# text, shell. tests/run and CI call it; as .git/hooks/pre-commit it keeps a
# commit from failing there. `--fix` formats instead of complaining.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

fix=no
case ${1-} in
  "") ;;
  --fix) fix=yes ;;
  *) echo "Usage: tests/tools/local-checks.sh [--fix]" >&2 && exit 2 ;;
esac
failed=()

# The files of the repository that match a pattern, one per NUL. A clone of
# another owner, as in a container, is read all the same.
files() {
  git -c 'safe.directory=*' ls-files -z --cached --others --exclude-standard \
    -- "$@"
}

# clang-format formats differently in each major version: this one or none.
if command -v clang-format-14 >/dev/null; then
  formatter=(clang-format-14 --style=file -i)
  [[ $fix == yes ]] || formatter=(clang-format-14 --style=file --dry-run --Werror)
  files '*.cpp' '*.hpp' | xargs -0 -r "${formatter[@]}" || failed+=(format)
else
  echo "format: skipped, clang-format-14 is not installed"
fi

tests/tools/check-includes || failed+=(includes)
tests/tools/check-text || failed+=(text)

if command -v shellcheck >/dev/null; then
  files | xargs -0 grep -lIZE '^#!.*[ /](bash|sh)$' \
    | xargs -0 -r shellcheck --severity=warning || failed+=(shell)
else
  echo "shell: skipped, shellcheck is not installed"
fi

if ((${#failed[@]} > 0)); then
  echo "local-checks: failed: ${failed[*]}" >&2
  exit 1
fi
