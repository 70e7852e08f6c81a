#include "actors/index_check.hpp"
#include "actors/job_index.hpp"
#include "tests/support/temp_directory.hpp"

#include <gmock/gmock.h>

#include <chrono>
#include <future>
#include <string>

namespace edgecap::test {

namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class IndexCheck : public ::testing::Test {
protected:
  IndexCheck() {
    auto opened = job_index::open(file());
    EXPECT_TRUE(opened) << opened.error().message;
    index = std::move(*opened);
    for (int i = 0; i < 200; ++i) {
      job_record x;
      x.id = std::string(29, '0') + std::to_string(100 + i);
      EXPECT_TRUE(index->insert(x));
    }
  }

  std::filesystem::path file() const {
    return directory.path() / "index.sqlite";
  }

  stored<void> check() {
    std::promise<stored<void>> told;
    const auto begun = index_check::begin(
      file(), {}, [&](const stored<void>& x) { told.set_value(x); });
    if (!begun)
      return tl::unexpected<store_error>{begun.error()};
    auto verdict = told.get_future();
    if (verdict.wait_for(60s) != std::future_status::ready)
      return store_failure(store_errc::unavailable, "no verdict");
    return verdict.get();
  }

  temp_directory directory;
  std::unique_ptr<job_index> index;
};

} // namespace

TEST_F(IndexCheck, FindsNothingInAWholeIndexInUse) {
  const auto verdict = check();
  EXPECT_TRUE(verdict) << verdict.error().message;
  EXPECT_TRUE(index->erase({std::string(29, '0') + "100"}));
  EXPECT_TRUE(check());
}

TEST_F(IndexCheck, SaysWhatIsWrong) {
  index.reset(); // writes the log back
  auto bytes = read_file(file());
  bytes.replace(bytes.size() - 4096, 4096, 4096, '\x55');
  write_file(file(), bytes);
  const auto verdict = check();
  ASSERT_FALSE(verdict);
  EXPECT_EQ(verdict.error().code, store_errc::damaged);
  EXPECT_THAT(verdict.error().message,
              HasSubstr("check index " + file().string() + ": "));
}

TEST_F(IndexCheck, SaysWhatIsNoDatabase) {
  index.reset();
  write_file(file(), std::string(8192, 'x'));
  const auto verdict = check();
  ASSERT_FALSE(verdict);
  EXPECT_EQ(verdict.error().code, store_errc::damaged);
}

TEST_F(IndexCheck, FailsToBeginWithoutAnIndex) {
  const auto begun = index_check::begin(directory.path() / "none", {},
                                        [](const stored<void>&) {});
  ASSERT_FALSE(begun);
  EXPECT_EQ(begun.error().code, store_errc::unavailable);
}

// As often as not before SQLite has begun.
TEST_F(IndexCheck, EndsWithItsOwner) {
  for (int i = 0; i < 50; ++i)
    EXPECT_TRUE(index_check::begin(file(), {}, [](const stored<void>&) {}));
}

} // namespace edgecap::test
