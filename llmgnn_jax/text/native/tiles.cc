#include "tiles.h"

#ifdef LLMGNN_MATRIX_TILES

#include <sys/syscall.h>
#include <unistd.h>

namespace llmgnn {

bool MatrixTiles::Usable() {
  // Linux gives the registers' memory to processes that ask: arch_prctl with
  // ARCH_REQ_XCOMP_PERM for the state component XTILEDATA.
  static const bool usable = syscall(SYS_arch_prctl, 0x1023, 18) == 0;
  return usable;
}

}  // namespace llmgnn

#endif
