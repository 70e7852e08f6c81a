# Writes OUTPUT, a C++ source that defines the bytes of INPUT as the array
# edgecap::capture::NAME and their number as NAME_bytes. Run with cmake -P.
file(READ "${INPUT}" bytes HEX)
string(LENGTH "${bytes}" digits)
math(EXPR size "${digits} / 2")
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
# libbpf wants it aligned like the ELF file that it is.
file(WRITE "${OUTPUT}" "#include <cstddef>
namespace edgecap::capture {
extern const unsigned char ${NAME}[];
extern const std::size_t ${NAME}_bytes;
alignas(8) const unsigned char ${NAME}[] = {${bytes}};
const std::size_t ${NAME}_bytes = ${size};
} // namespace edgecap::capture
")
