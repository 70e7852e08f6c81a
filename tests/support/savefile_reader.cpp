#include "tests/support/savefile_reader.hpp"

#include <pcap/pcap.h>

#include <array>
#include <memory>

namespace edgecap::test {

read_savefile read_pcap(const std::filesystem::path& file) {
  read_savefile result;
  std::array<char, PCAP_ERRBUF_SIZE> error{};
  const std::unique_ptr<pcap_t, void (*)(pcap_t*)> handle{
    pcap_open_offline_with_tstamp_precision(
      file.c_str(), PCAP_TSTAMP_PRECISION_NANO, error.data()),
    [](pcap_t* x) {
      if (x != nullptr)
        pcap_close(x);
    }};
  if (!handle) {
    result.error = error.data();
    return result;
  }
  result.link_type = pcap_datalink(handle.get());
  pcap_pkthdr* header = nullptr;
  const u_char* bytes = nullptr;
  int code = 0;
  while ((code = pcap_next_ex(handle.get(), &header, &bytes)) == 1) {
    auto& x = result.records.emplace_back();
    x.time_ns = std::int64_t{header->ts.tv_sec} * 1'000'000'000
                + header->ts.tv_usec; // nanoseconds, as asked for
    x.original_length = header->len;
    x.bytes.assign(reinterpret_cast<const char*>(bytes), header->caplen);
  }
  if (code == PCAP_ERROR)
    result.error = pcap_geterr(handle.get());
  return result;
}

} // namespace edgecap::test
