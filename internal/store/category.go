package store

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/furima/furima/internal/market"
	"github.com/furima/furima/internal/sqldb"
)

// treeAge is how long the tree is used before it is read again: another process
// may have imported a new one.
const treeAge = 30 * time.Second

// treeCache holds the category tree, which every list and every listing needs,
// and the brands.
type treeCache struct {
	loading sync.Mutex
	now     atomic.Pointer[loadedTree]
	brands  atomic.Pointer[loadedBrands]
}

type loadedTree struct {
	tree *market.Tree
	at   time.Time
}

// Categories returns the category tree. It is kept in memory and at most half a
// minute older than the database's.
func (s *Store) Categories(ctx context.Context) (*market.Tree, error) {
	return s.treeSince(ctx, s.now().Add(-treeAge))
}

// treeSince returns a tree that was read at or after since.
func (s *Store) treeSince(ctx context.Context, since time.Time) (*market.Tree, error) {
	if t := s.tree.now.Load(); t != nil && !t.at.Before(since) {
		return t.tree, nil
	}
	s.tree.loading.Lock()
	defer s.tree.loading.Unlock()
	if t := s.tree.now.Load(); t != nil && !t.at.Before(since) {
		return t.tree, nil // read while we waited
	}
	at := s.now()
	tree, err := readTree(ctx, s.db)
	if err != nil {
		return nil, err
	}
	s.tree.now.Store(&loadedTree{tree, at})
	return tree, nil
}

func readTree(ctx context.Context, q sqldb.Querier) (*market.Tree, error) {
	all, err := readCategories(ctx, q)
	if err != nil {
		return nil, failed(err, "read categories")
	}
	tree, err := market.NewTree(all)
	return tree, failed(err, "order categories")
}

func readCategories(ctx context.Context, q sqldb.Querier) ([]market.Category, error) {
	rows, err := q.QueryContext(ctx, "SELECT id, parent_id, position, name, name_ja FROM categories")
	if err != nil {
		return nil, err
	}
	var all []market.Category
	err = each(rows, func(row scanner) error {
		var c market.Category
		err := row.Scan((*int64)(&c.ID), (*int64)(&c.Parent), &c.Position, &c.Name, &c.NameJA)
		all = append(all, c)
		return err
	})
	return all, err
}

// listsInTx returns the lists of a category inside a transaction. It asks the
// tree in memory and, if that does not know the category, the transaction
// itself: whoever holds a connection must not wait for a second one, nor for
// somebody who does.
func (s *Store) listsInTx(ctx context.Context, tx *sqldb.Tx, id market.CategoryID) ([]market.CategoryID, error) {
	if t := s.tree.now.Load(); t != nil {
		if lists := t.tree.Lists(id); lists != nil {
			return lists, nil
		}
	}
	tree, err := readTree(ctx, tx)
	if err != nil {
		return nil, err
	}
	if lists := tree.Lists(id); lists != nil {
		return lists, nil
	}
	return nil, errNoCategory
}

// lists returns the lists of a category: 0, its ancestors, itself. A category
// that is not known is looked for in the database once more before it is
// refused with notKnown.
func (s *Store) lists(ctx context.Context, id market.CategoryID, notKnown error) (*market.Tree, []market.CategoryID, error) {
	if id == 0 {
		return nil, wholeMarket, nil
	}
	tree, err := s.Categories(ctx)
	if err != nil {
		return nil, nil, err
	}
	if lists := tree.Lists(id); lists != nil {
		return tree, lists, nil
	}
	if tree, err = s.treeSince(ctx, s.now().Add(-time.Second)); err != nil {
		return nil, nil, err
	}
	if lists := tree.Lists(id); lists != nil {
		return tree, lists, nil
	}
	return nil, nil, notKnown
}

var wholeMarket = []market.CategoryID{0}

var (
	// errNoCategory is for a list of a category that does not exist.
	errNoCategory = market.Errorf(market.CodeNotFound, market.ReasonUnknownCategory, "there is no such category")
	// errBadCategory is for an item in a category that does not exist.
	errBadCategory = market.Fieldf("category_id", market.ReasonUnknownCategory, "must be a category")
	errNotLeaf     = market.Fieldf("category_id", market.ReasonUnknownCategory, "must be a category without any below it")
)

// listsOfItem returns the lists that an item of the category appears in.
func (s *Store) listsOfItem(ctx context.Context, id market.CategoryID) ([]market.CategoryID, error) {
	if id <= 0 {
		return nil, errBadCategory
	}
	tree, lists, err := s.lists(ctx, id, errBadCategory)
	if err != nil {
		return nil, err
	}
	if !tree.Leaf(id) {
		return nil, errNotLeaf
	}
	return lists, nil
}
