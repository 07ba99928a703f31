#include <asx/shard/base/bits.h>
#include <asx/shard/mesh.h>

#include <sys/mman.h>

asx_mesh *asx_mesh_create(uint32_t shard_count, uint32_t capacity)
{
    asx_assert(shard_count >= 1 && shard_count <= ASX_MESH_SHARDS_MAX);
    asx_assert(asx_is_pow2(capacity) && capacity >= 8);
    const size_t pairs = (size_t)shard_count * shard_count;
    const size_t head_len = asx_align_up(sizeof(asx_mesh), ASX_CACHE_PAIR);
    const size_t sleepers_len = shard_count * sizeof(asx_mesh_sleeper);
    const size_t rings_len = pairs * sizeof(asx_ring);
    const size_t slots_len = pairs * capacity * sizeof(asx_msg);
    const size_t len = head_len + sleepers_len + rings_len + slots_len;
    /* Mapped, not from a shard's chunks: it belongs to no shard, and pages that no pair uses are
     * never touched. */
    void *const memory =
        mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return NULL;
    }
    char *const at = memory;
    asx_mesh *const mesh = memory;
    *mesh = (asx_mesh){
        ._sleepers = (asx_mesh_sleeper *)(void *)(at + head_len),
        ._rings = (asx_ring *)(void *)(at + head_len + sleepers_len),
        ._memory = memory,
        ._memory_len = len,
        .shard_count = shard_count,
        .capacity = capacity,
    };
    asx_msg *const slots = (asx_msg *)(void *)(at + head_len + sleepers_len + rings_len);
    for (size_t i = 0; i < pairs; i++) {
        asx_ring_init(&mesh->_rings[i], slots + i * capacity, capacity, capacity / 8);
    }
    return mesh;
}

bool asx_mesh_inbox_empty(const asx_mesh *mesh, uint32_t self)
{
    asx_assert_lt(self, mesh->shard_count);
    const asx_ring *const inbox = &mesh->_rings[(size_t)self * mesh->shard_count];
    for (uint32_t from = 0; from < mesh->shard_count; from++) {
        if (!asx_ring_empty(&inbox[from])) {
            return false;
        }
    }
    return true;
}

void asx_mesh_attach(asx_mesh *mesh, uint32_t self, asx_mesh_bell_fn *bell, void *arg)
{
    asx_assert_lt(self, mesh->shard_count);
    mesh->_sleepers[self].bell_arg = arg;
    /* Pairs with the load in asx_mesh_ring_bell, for a bell that is not rung for a sleeper. */
    __atomic_store_n(&mesh->_sleepers[self].bell, bell, __ATOMIC_RELEASE);
}

void asx_mesh_ring_bell(asx_mesh *mesh, uint32_t target)
{
    asx_mesh_bell_fn *const bell = __atomic_load_n(&mesh->_sleepers[target].bell, __ATOMIC_ACQUIRE);
    if (bell) {
        bell(mesh->_sleepers[target].bell_arg);
    }
}

void asx_mesh_closed_add(asx_mesh *mesh)
{
    /* Acquires and releases: what each did before is visible to whoever sees the full count. */
    const uint32_t count = __atomic_add_fetch(&mesh->_closed_count, 1, __ATOMIC_ACQ_REL);
    asx_assert_le(count, mesh->shard_count);
    if (count == mesh->shard_count) {
        for (uint32_t to = 0; to < mesh->shard_count; to++) {
            asx_mesh_ring_bell(mesh, to);
        }
        /* Pairs with the load in asx_mesh_all_closed: no bell is rung after it. */
        __atomic_store_n(&mesh->_all_closed, 1u, __ATOMIC_RELEASE);
    }
}

bool asx_mesh_all_closing(const asx_mesh *mesh)
{
    return __atomic_load_n(&mesh->_closed_count, __ATOMIC_ACQUIRE) == mesh->shard_count;
}

bool asx_mesh_all_closed(const asx_mesh *mesh)
{
    return __atomic_load_n(&mesh->_all_closed, __ATOMIC_ACQUIRE) != 0;
}

void asx_mesh_destroy(asx_mesh *mesh)
{
    if (munmap(mesh->_memory, mesh->_memory_len) != 0) {
        asx_unreachable();
    }
}
