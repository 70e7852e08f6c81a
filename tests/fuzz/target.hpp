#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

// What the fuzz targets share: the entry that libFuzzer and replay.cpp call,
// and how a property is claimed.

/// Feeds one input to the parser under test and checks what must hold of it.
/// Returns 0; what does not hold ends the process.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data,
                                      std::size_t size);

namespace edgecap::fuzz {

/// The input as text.
inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// Ends the process, as a crash that libFuzzer keeps the input of, unless
/// `holds`.
inline void require(bool holds, const char* property) {
  if (holds)
    return;
  std::fprintf(stderr, "property violated: %s\n", property);
  std::abort();
}

/// Takes an input apart from its front. Reads zeros behind its end, so that
/// every input means something.
class input_reader {
public:
  explicit input_reader(std::string_view bytes) : rest_(bytes) {}

  std::uint8_t byte() {
    if (rest_.empty())
      return 0;
    const auto result = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return result;
  }

  std::uint16_t half() {
    const auto high = byte();
    return static_cast<std::uint16_t>(high << 8 | byte());
  }

  std::uint32_t word() {
    const std::uint32_t high = half();
    return high << 16 | half();
  }

  /// Up to the next newline, which is skipped.
  std::string line() {
    const auto end = rest_.find('\n');
    std::string result{rest_.substr(0, end)};
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    return result;
  }

  bool empty() const {
    return rest_.empty();
  }

private:
  std::string_view rest_;
};

} // namespace edgecap::fuzz
