#include "actors/guardian.hpp"
#include "tests/support/actor_fixture.hpp"

#include <string>
#include <vector>

namespace edgecap::test {

class Guardian : public actor_fixture {
protected:
  void start() {
    first = spawn(probe);
    second = spawn(probe);
    aut = spawn(
      guardian,
      guarded_actors{{"first", first.address()}, {"second", second.address()}},
      [this](const std::string& name, const std::string& why) {
        lost.push_back(name + ": " + why);
      });
  }

  void TearDown() override {
    first = nullptr;
    second = nullptr;
    aut = nullptr;
    actor_fixture::TearDown();
  }

  caf::actor first, second, aut;
  std::vector<std::string> lost;
};

TEST_F(Guardian, SaysWhoDied) {
  start();
  run();
  EXPECT_TRUE(lost.empty());
  self->send_exit(second, caf::exit_reason::kill);
  run();
  ASSERT_EQ(lost.size(), 1u);
  EXPECT_EQ(lost.front(), "second: exit_reason(kill)");
}

TEST_F(Guardian, SaysItOnce) {
  start();
  self->send_exit(first, caf::exit_reason::kill);
  self->send_exit(second, caf::exit_reason::kill);
  run();
  EXPECT_EQ(lost.size(), 1u);
  EXPECT_TRUE(dead(aut));
}

TEST_F(Guardian, HasNothingToSayOfAnEndInOrder) {
  start();
  self->send_exit(aut, caf::exit_reason::user_shutdown);
  run();
  self->send_exit(first, caf::exit_reason::user_shutdown);
  run();
  EXPECT_TRUE(lost.empty());
}

TEST_F(Guardian, SaysSoOfOneThatWasDeadBefore) {
  first = spawn(probe);
  self->send_exit(first, caf::exit_reason::kill);
  run();
  aut = spawn(guardian, guarded_actors{{"first", first.address()}},
              [this](const std::string& name, const std::string&) {
                lost.push_back(name);
              });
  run();
  EXPECT_EQ(lost, std::vector<std::string>{"first"});
}

} // namespace edgecap::test
