#include "actors/node_types.hpp"

#include <gmock/gmock.h>

using namespace edgecap;
using ::testing::HasSubstr;

namespace {

node_hello sound() {
  node_hello result;
  result.name = "edge-1.example";
  result.colo = "ams01";
  result.labels = {"rack=7", "owner=network team"};
  result.version = "0.1.0";
  return result;
}

} // namespace

TEST(NodeHello, IsTakenIfItKeepsTheRules) {
  EXPECT_EQ(fault_of(sound()), "");
  auto bare = node_hello{};
  bare.name = "x";
  EXPECT_EQ(fault_of(bare), "");
}

TEST(NodeHello, NamesWhatIsWrong) {
  const auto with = [](auto change) {
    auto x = sound();
    change(x);
    return fault_of(x);
  };
  EXPECT_THAT(
    with([](auto& x) { x.protocol = node_protocol + 1; }),
    HasSubstr("speaks protocol " + std::to_string(node_protocol + 1)));
  EXPECT_THAT(with([](auto& x) { x.protocol = oldest_node_protocol - 1; }),
              HasSubstr("understands"));
  EXPECT_THAT(with([](auto& x) { x.byte_order = "middle"; }),
              HasSubstr("byte order"));
  EXPECT_THAT(with([](auto& x) { x.name.clear(); }), HasSubstr("its name"));
  EXPECT_THAT(with([](auto& x) { x.name = "a b"; }), HasSubstr("its name"));
  EXPECT_THAT(with([](auto& x) { x.name = std::string(65, 'a'); }),
              HasSubstr("its name"));
  EXPECT_THAT(with([](auto& x) { x.colo = "a/b"; }), HasSubstr("its colo"));
  EXPECT_THAT(with([](auto& x) { x.labels.assign(65, "a=b"); }),
              HasSubstr("more than 64 labels"));
  EXPECT_THAT(with([](auto& x) { x.labels = {"a=\n"}; }), HasSubstr("label"));
  EXPECT_THAT(with([](auto& x) { x.labels = {std::string(129, 'a')}; }),
              HasSubstr("label"));
  EXPECT_THAT(with([](auto& x) { x.version = "\x1b[2J"; }),
              HasSubstr("version"));
}
